// 5,000 watched users in a page with React, 200 changes a second: what the main thread does for each, and which
// components render. Prints what the README states.

import { basename, resolve } from "node:path";
import { build, type PluginBuild } from "esbuild";
import type { CDPSession } from "playwright-core";
import { expect } from "vitest";
import { type Daemon, waitFor } from "./daemon.ts";
import { isLive, test } from "./scene.ts";

declare const renders: Map<string, number>;
declare const changes: Map<string, number>;
declare function takeHandledMs(): number;

const USERS = 5000;
/** The others are watched and never change. */
const CHANGING = 1000;
const PER_SECOND = 200;
const SECONDS = 10;
/** As many calls are under way at once at most. */
const CALLERS = 8;
const CHANGES = PER_SECOND * SECONDS;

/** The page names the sources, for their types, and gets what is built of them. */
function useBuilt(builder: PluginBuild): void {
  builder.onResolve({ filter: /^\.\.\/src\// }, ({ path }) => ({ path: resolve("dist", `${basename(path, ".ts")}.js`) }));
}

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ["e2e/many-users-page.tsx"],
    plugins: [{ name: "as-built", setup: useBuilt }],
    define: { "process.env.NODE_ENV": '"production"' },
    jsx: "automatic",
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  return `<!doctype html><meta charset="utf-8"><title>many</title><div id="list"></div><script type="module">${outputFiles[0]?.text.replaceAll("</script", "<\\/script") ?? ""}</script>`;
}

async function put(daemon: Daemon, index: number): Promise<void> {
  const status = Math.floor(index / CHANGING) % 2 ? "IDLE" : "ONLINE";
  const answer = await daemon.call("/api/user/realtime", {
    method: "PUT",
    headers: { "x-user-id": `user-${index % CHANGING}` },
    body: JSON.stringify({ status }),
  });
  expect(answer).toMatchObject({ status });
}

/** Makes that many users change, one after another, at an even pace as far as the daemon keeps up. */
async function change(daemon: Daemon, count: number): Promise<void> {
  const startedAt = performance.now();
  let next = 0;
  const run = async () => {
    for (let index = next++; index < count; index = next++) {
      const waitMs = startedAt + (index * 1000) / PER_SECOND - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      await put(daemon, index);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, run));
}

/** Seconds of the page's main thread. */
async function metrics(devtools: CDPSession): Promise<Record<string, number>> {
  const answer = await devtools.send("Performance.getMetrics");
  return Object.fromEntries(answer.metrics.map(({ name, value }) => [name, value]));
}

test("5,000 watched users and 200 changes a second: nobody renders without a change", async ({ start }) => {
  const scene = await start();
  scene.site.add("/many", await bundle());
  const page = await (await scene.newContext()).newPage();
  await page.goto(scene.site.address({ user: "me", watch: "" }, "/many", { count: String(USERS) }));
  await waitFor(isLive(page));
  await waitFor(() => page.evaluate((count) => renders.size === count && changes.size === count, USERS));
  await page.evaluate(() => {
    renders.clear();
    changes.clear();
    takeHandledMs();
  });
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
  const before = await metrics(devtools);
  const startedAt = performance.now();
  await change(scene.daemon, CHANGES);
  // Each changed an even number of times: the last one made all of them idle.
  await waitFor(() => page.evaluate((count) => document.querySelectorAll(".IDLE").length === count, CHANGING));
  const seconds = (performance.now() - startedAt) / 1000;
  const after = await metrics(devtools);
  const [rendered, changed] = await page.evaluate(() => [[...renders], [...changes]] as const);
  const handledMs = await page.evaluate(() => takeHandledMs());
  const count = changed.reduce((sum, [, times]) => sum + times, 0);
  const millis = (name: string) => (((after[name] ?? 0) - (before[name] ?? 0)) * 1000) / count;
  const state = (name: string) => `${name.toLowerCase()}s ${millis(`${name}Duration`).toFixed(3)} ms`;
  const parts = [...["Task", "Script"].map(state), `the library with its callbacks ${(handledMs / count).toFixed(3)} ms`];
  console.log(`${count} changes of ${USERS} users in ${seconds.toFixed(1)} s; main thread per change: ${parts.join(", ")}`);
  expect(changed.length).toBe(CHANGING);
  // Changes of one user that follow each other within a frame are one render; no other user renders.
  const times = new Map(changed);
  expect(rendered.filter(([id, renderCount]) => renderCount > (times.get(id) ?? 0))).toEqual([]);
  expect(rendered.length).toBe(CHANGING);
  expect(millis("TaskDuration")).toBeLessThan(1000 / PER_SECOND);
});
