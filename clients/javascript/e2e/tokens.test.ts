// A minute of tokens that expire every 5 s: each is a reconnect. In a file of its own, because nothing shortens it.

import { expect } from "vitest";
import type { Page } from "playwright-core";
import { type Daemon, pass, waitFor } from "./daemon.ts";
import { areCurrent, hasOneSession, isLive, type Scene, statesOf, test } from "./scene.ts";

const IDLE_AFTER_MS = 20_000;
/** What a slow machine may add to a time. */
const SLOWNESS_MS = 30_000;
/** For so long a report is under way on a slow machine at most. */
const TRAVEL_MS = 15_000;
/** A reconnect that takes long on a slow machine is no event. */
const GRACE = ["--grace", "20s"];
const TOKENS = { seconds: 5, idle: IDLE_AFTER_MS };

/** When the page opened, which is her first input. */
declare const openedAt: number;

const time = (text: string | null) => Date.parse(text ?? "");

/** Presses a key; returns when, by the clock of this machine, which is the daemon's too. */
async function press(page: Page): Promise<number> {
  const at = Date.now();
  await page.keyboard.press("a");
  return at;
}

/** Whether ann's last active is her last input: each report says how long ago that was, and travels for a while. */
async function wasLastActive(daemon: Daemon, inputAt: number): Promise<void> {
  const { lastActive } = await daemon.presence("ann");
  expect(time(lastActive) - inputAt).toBeGreaterThan(-100);
  expect(time(lastActive) - inputAt).toBeLessThan(TRAVEL_MS);
}

/** Whether ann has become idle so long after her last input as she should, by the daemon's clock. */
async function becameIdleInTime(daemon: Daemon, inputAt: number): Promise<void> {
  const { since } = await daemon.presence("ann");
  expect(time(since) - inputAt).toBeGreaterThan(IDLE_AFTER_MS - 1000);
  expect(time(since) - inputAt).toBeLessThan(IDLE_AFTER_MS + SLOWNESS_MS);
}

test.concurrent("a minute of tokens of 5 s: idle in time twice, last active is the last input, no other event", async ({ start }) => {
  const { daemon, ...scene } = await startWith(await start(...GRACE));
  const { ann, bob, shown, openedAt } = scene;
  await waitFor(() => shown.length === 2);
  await becameIdleInTime(daemon, openedAt);
  await waitFor(() => Date.now() > openedAt + 25_000);
  const inputAt = await press(ann);
  await waitFor(() => shown.length > 2);
  await wasLastActive(daemon, inputAt);
  await waitFor(() => shown.length === 4);
  await becameIdleInTime(daemon, inputAt);
  await pass(Math.max(0, openedAt + 60_000 - Date.now()));
  await waitFor(isLive(ann));
  expect(shown).toEqual(["ONLINE", "IDLE", "ONLINE", "IDLE"]);
  await wasLastActive(daemon, inputAt);
  await waitFor(hasOneSession(daemon, "ann"));
  expect((await statesOf(ann)).filter((state) => state === "waiting").length).toBeGreaterThanOrEqual(10);
  await areCurrent(ann, bob);
});

async function startWith(scene: Scene) {
  const people = await scene.watched(TOKENS);
  return { daemon: scene.daemon, openedAt: await people.ann.evaluate(() => openedAt), ...people };
}

test.concurrent.for(["SIGTERM", "SIGKILL"] as const)("an untouched visible tab becomes idle in time across tokens of 5 s and %s of the daemon", async (signal, { start }) => {
  const { daemon, ann, bob, shown } = await startWith(await start(...GRACE));
  const inputAt = await press(ann);
  await daemon.written();
  for (let restarts = 0; restarts < 2; restarts += 1) {
    await daemon.stop(signal);
    await waitFor(async () => !(await isLive(ann)()));
    await daemon.startAgain();
    await waitFor(async () => bob.connection.getSnapshot().status === "live" && (await isLive(ann)()));
    await daemon.written();
  }
  await waitFor(() => shown.length > 1);
  expect(shown).toEqual(["ONLINE", "IDLE"]);
  await becameIdleInTime(daemon, inputAt);
  // Not even a crash loses it: each connection tells again.
  await wasLastActive(daemon, inputAt);
  await areCurrent(ann, bob);
});
