// The package as it is built, in a real browser, against a real daemon: what pages and daemons do in a few seconds.
// The grace period is long enough for a slow machine: how fast the client is, test/ says in fake time.

import type { BrowserContext, Page } from "playwright-core";
import { expect } from "vitest";
import type { PresenceClient } from "../src/index.ts";
import { pass, waitFor } from "./daemon.ts";
import { areCurrent, hasShown, isLive, type Scene, sees, shownTo, statesOf, test } from "./scene.ts";

declare const client: PresenceClient;
declare const sockets: number;

const GRACE = ["--grace", "20s"];

test.concurrent("two people see each other change, and leave when the tab is closed", async ({ start }) => {
  const { ann, bob } = await (await start()).two();
  await areCurrent(ann, bob);
  await ann.close();
  await waitFor(sees(bob, "ann", "OFFLINE"));
  expect(await shownTo(bob)).toEqual(["ONLINE", "DO_NOT_DISTURB", "OFFLINE"]);
});

test.concurrent("a reload, and back and forward, are no event for others", async ({ start }) => {
  const scene = await start(...GRACE);
  const { ann, bob } = await scene.two();
  await ann.reload();
  await waitFor(isLive(ann));
  await ann.goto(`${scene.site.origin}/other`);
  await ann.goBack();
  await waitFor(isLive(ann));
  await ann.goForward();
  await ann.goBack();
  await waitFor(isLive(ann));
  expect(await shownTo(bob)).toEqual(["ONLINE"]);
  await areCurrent(ann, bob);
  expect((await scene.daemon.presence("ann")).sessions).toBe(1);
});

test.concurrent.for(["SIGTERM", "SIGKILL"] as const)("%s and a start of the daemon are no event, and nothing is out of date", async (signal, { start }) => {
  const { daemon, ...scene } = await startWritten(await start());
  const { ann, bob } = scene;
  const before = [await shownTo(ann), await shownTo(bob)];
  await daemon.stop(signal);
  await daemon.startAgain();
  await waitFor(async () => (await isLive(ann)()) && (await isLive(bob)()));
  expect([await shownTo(ann), await shownTo(bob)]).toEqual(before);
  await areCurrent(ann, bob);
});

async function startWritten(scene: Scene) {
  const people = await scene.two();
  await scene.daemon.written();
  return { daemon: scene.daemon, ...people };
}

test.concurrent("a page whose clock is set back two hours reports inputs and tells times all the same", async ({ start }) => {
  const { ann, bob } = await (await start()).two({ idle: 3000 });
  await ann.evaluate(() => {
    const now = Date.now.bind(Date);
    Date.now = () => now() - 7_200_000;
  });
  await waitFor(hasShown(bob, "ONLINE", "IDLE"));
  await ann.keyboard.press("a");
  await waitFor(hasShown(bob, "ONLINE", "IDLE", "ONLINE", "IDLE"));
  const serverNow = await ann.evaluate(() => client.serverNow() ?? 0);
  expect(Math.abs(serverNow - Date.now())).toBeLessThan(30_000);
});

test.concurrent("a storm of visibility changes leaves the connection alone", async ({ start }) => {
  const { ann, bob } = await (await start()).two();
  await ann.evaluate(async () => {
    for (let turn = 0; turn < 300; turn += 1) {
      document.dispatchEvent(new Event("visibilitychange"));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  expect(await statesOf(ann)).toEqual(["live"]);
  expect(await shownTo(bob)).toEqual(["ONLINE"]);
});

/** Bob, and five tabs of ann's that share a connection. */
async function fiveTabs(scene: Scene): Promise<{ bob: Page; tabs: Page[] }> {
  const bob = await scene.visit(await scene.newContext(), { user: "bob", watch: "ann" });
  const context: BrowserContext = await scene.newContext();
  const tabs: Page[] = [];
  for (let index = 0; index < 5; index += 1) tabs.push(await scene.visit(context, { user: "ann", watch: "bob", share: true }));
  await waitFor(sees(bob, "ann", "ONLINE"));
  for (const tab of tabs) await waitFor(sees(tab, "bob", "ONLINE"));
  return { bob, tabs };
}

const areLive = (tabs: Page[]) => async () => (await Promise.all(tabs.map((tab) => isLive(tab)()))).every(Boolean);
const connectedTabs = async (tabs: Page[]) =>
  (await Promise.all(tabs.map((tab) => tab.evaluate(() => sockets)))).filter((count) => count > 0).length;

test.concurrent("five tabs have one connection; when its tab closes another takes over", async ({ start }) => {
  const scene = await start(...GRACE);
  const { bob, tabs } = await fiveTabs(scene);
  expect((await scene.daemon.presence("ann")).sessions).toBe(1);
  expect(await connectedTabs(tabs)).toBe(1);
  const [leader, ...others] = tabs;
  await leader?.close();
  await waitFor(async () => (await scene.daemon.presence("ann")).sessions === 1 && (await connectedTabs(others)) === 1);
  await waitFor(areLive(others));
  await bob.evaluate(() => client.updateCustomStatus("DO_NOT_DISTURB").then(() => undefined));
  for (const tab of others) await waitFor(sees(tab, "bob", "DO_NOT_DISTURB"));
  for (const tab of others) await tab.close();
  await waitFor(sees(bob, "ann", "OFFLINE"));
  expect((await shownTo(bob)).slice(-2)).toEqual(["ONLINE", "OFFLINE"]);
});

test.concurrent("five tabs have one connection through restarts of the daemon, clean and after a crash", async ({ start }) => {
  const scene = await start();
  const { daemon } = scene;
  const { bob, tabs } = await fiveTabs(scene);
  for (const [signal, customStatus] of [["SIGTERM", "DO_NOT_DISTURB"], ["SIGKILL", "IDLE"]] as const) {
    await daemon.written();
    await daemon.stop(signal);
    await waitFor(async () => !(await areLive([bob])()));
    await daemon.startAgain();
    await waitFor(areLive([bob, ...tabs]));
    await bob.evaluate((status) => client.updateCustomStatus(status).then(() => undefined), customStatus);
    for (const tab of tabs) await waitFor(sees(tab, "bob", customStatus));
    expect((await daemon.presence("ann")).sessions).toBe(1);
  }
  await pass(1000); // no other tab connects later
  expect(await connectedTabs(tabs)).toBe(1);
  expect((await shownTo(bob)).slice(-1)).toEqual(["ONLINE"]);
});
