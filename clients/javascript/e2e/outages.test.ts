// Networks that fail for 20 s, between a real page and a real daemon. The daemon pings a connection that is silent for
// 25 s and waits 10 s for the answer, so 20 s are no event by its own rules either.

import { expect } from "vitest";
import type { PresenceClient } from "../src/index.ts";
import { pass, waitFor } from "./daemon.ts";
import { areCurrent, hasOneSession, isLive, type Scene, sees, statesOf, test } from "./scene.ts";

declare const client: PresenceClient;

const OUTAGE_MS = 20_000;
const GRACE = ["--grace", "20s"];

/** Ann is connected through a proxy, which then fails; nothing of hers is under way. */
async function outage(scene: Scene) {
  const proxy = await scene.proxy();
  const people = await scene.watched({ url: proxy.wsUrl });
  // Both sides have just heard of each other: the silence begins here.
  await people.ann.evaluate(() => client.updateCustomStatus("ONLINE").then(() => undefined));
  proxy.fail();
  await people.bob.updateCustomStatus("DO_NOT_DISTURB");
  return { proxy, daemon: scene.daemon, ...people };
}

// The browser leaves an open WebSocket alone then, and tells the page, which asks the daemon. On a machine that is too
// slow for the answer to come within 4 s, the page can't connect again as long as it is offline.
test.concurrent("a page that the browser holds to be offline for 20 s", async ({ start }) => {
  const scene = await start("--grace", "60s", "--restart-grace", "60s");
  const context = await scene.newContext();
  const { ann, bob, shown } = await scene.watched({}, context);
  await context.setOffline(true);
  await pass(OUTAGE_MS);
  await context.setOffline(false);
  await waitFor(isLive(ann));
  await areCurrent(ann, bob);
  expect(shown).toEqual(["ONLINE", "DO_NOT_DISTURB"]);
});

test.concurrent("packets that are lost for 20 s and then arrive: the connection goes on", async ({ start }) => {
  const { ann, bob, shown, proxy } = await outage(await start());
  await pass(OUTAGE_MS);
  expect(await sees(ann, "bob", "ONLINE")()).toBe(true); // nothing got through
  proxy.recover();
  await waitFor(sees(ann, "bob", "DO_NOT_DISTURB"));
  expect(await statesOf(ann)).toEqual(["live"]);
  expect(shown).toEqual(["ONLINE"]);
  await areCurrent(ann, bob);
});

test.concurrent("packets that are lost for 20 s, then a reset: it connects again", async ({ start }) => {
  const { ann, bob, shown, proxy, daemon } = await outage(await start(...GRACE));
  await pass(OUTAGE_MS);
  proxy.reset();
  await waitFor(sees(ann, "bob", "DO_NOT_DISTURB"));
  await waitFor(isLive(ann));
  expect(shown).toEqual(["ONLINE"]);
  await areCurrent(ann, bob);
  await waitFor(hasOneSession(daemon, "ann"));
});

test.concurrent("a connection that never answers again is found by the page itself", async ({ start }) => {
  const { ann, bob, shown, proxy, daemon } = await outage(await start(...GRACE));
  await pass(OUTAGE_MS);
  proxy.recoverForNewConnections();
  await waitFor(async () => (await statesOf(ann)).includes("waiting"));
  await waitFor(isLive(ann));
  await waitFor(sees(ann, "bob", "DO_NOT_DISTURB"));
  await waitFor(hasOneSession(daemon, "ann"));
  await areCurrent(ann, bob);
  expect(shown).toEqual(["ONLINE", "DO_NOT_DISTURB"]);
});

test.concurrent("an event of the network lets the page find a dead connection before its silence does", async ({ start }) => {
  const { ann, bob, shown, proxy } = await outage(await start(...GRACE));
  proxy.recoverForNewConnections();
  const failedAt = performance.now();
  // Within 2 s of a frame it is too early to ask.
  const timer = setInterval(() => void ann.evaluate(() => dispatchEvent(new Event("online"))).catch(() => undefined), 500);
  await waitFor(async () => (await statesOf(ann)).includes("waiting")).finally(() => {
    clearInterval(timer);
  });
  expect(performance.now() - failedAt).toBeLessThan(34_000);
  await waitFor(sees(ann, "bob", "DO_NOT_DISTURB"));
  await waitFor(isLive(ann));
  await areCurrent(ann, bob);
  expect(shown).toEqual(["ONLINE", "DO_NOT_DISTURB"]);
});
