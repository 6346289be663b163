// Tabs in the background, as a browser of a user treats them: timers once a minute, and freezing.

import { beforeAll, expect } from "vitest";
import { pass, waitFor } from "./daemon.ts";
import { OwnBrowser, setFrozen } from "./own-browser.ts";
import { hasOneSession, isLive, sees, statesOf, statuses, test } from "./scene.ts";

declare const lifecycle: string[];
declare const ticks: number[];

let own: OwnBrowser;

beforeAll(async () => {
  own = await OwnBrowser.start();
  return () => own.end();
});

/** Time in the background: after 5 s in it timers run only with each full minute, so once at most. */
const HIDDEN_MS = 46_000;

test("a tab whose timers run once a minute stays connected, and is right all the time and afterwards", async ({ start }) => {
  // The daemon asks a silent connection soon, and so does the client, as soon as its timers let it.
  const scene = await start("--ping-interval", "6s", "--ping-timeout", "5s", "--grace", "20s");
  const { ann, bob, shown } = await scene.watched({ idle: 10_000 }, own.context);
  await own.hide(ann);
  await ann.evaluate(() => {
    const times: number[] = [];
    const tick = () => {
      times.push(performance.now());
      setTimeout(tick, 100);
    };
    tick();
    Object.assign(globalThis, { ticks: times });
  });
  await pass(HIDDEN_MS / 2);
  await bob.updateCustomStatus("DO_NOT_DISTURB");
  await waitFor(sees(ann, "bob", "DO_NOT_DISTURB")); // what arrives is not throttled
  await pass(HIDDEN_MS / 2);
  const times = await ann.evaluate(() => ticks);
  const throttled = Math.max(...times.map((at, index) => at - (times[index - 1] ?? at)), (await ann.evaluate(() => performance.now())) - times.at(-1)!);
  expect(throttled).toBeGreaterThan(15_000); // else this shows nothing
  await ann.bringToFront();
  await waitFor(() => ann.evaluate(() => document.visibilityState === "visible"));
  await bob.updateCustomStatus("IDLE");
  await waitFor(sees(ann, "bob", "IDLE"));
  await waitFor(() => shown.length === 3);
  expect(shown).toEqual(["ONLINE", "IDLE", "ONLINE"]); // to be seen again is activity
  expect(await statesOf(ann)).toEqual(["live"]);
});

// Chromium answers pings for a frozen page, and closes the connection when it is thawed if something had arrived.
test("a page that was frozen and thawed shows what happened meanwhile", async ({ start }) => {
  const scene = await start("--grace", "20s");
  const { ann, bob, shown } = await scene.watched({}, own.context);
  await own.hide(ann);
  await setFrozen(ann, true);
  await bob.updateCustomStatus("DO_NOT_DISTURB");
  await setFrozen(ann, false);
  await waitFor(sees(ann, "bob", "DO_NOT_DISTURB"));
  await waitFor(isLive(ann));
  expect(await ann.evaluate(() => lifecycle)).toEqual(["freeze", "resume"]);
  await waitFor(hasOneSession(scene.daemon, "ann"));
  expect(shown).toEqual(["ONLINE"]);
});

test("when the tab that has the connection is frozen another takes over", async ({ start }) => {
  const scene = await start("--grace", "20s");
  const leader = await scene.visit(own.context, { user: "ann", watch: "bob", share: true });
  const follower = await scene.visit(own.context, { user: "ann", watch: "bob", share: true });
  const bob = await scene.live("bob");
  const shown = statuses(bob, "ann");
  await waitFor(sees(follower, "bob", "ONLINE"));
  await waitFor(() => leader.evaluate(() => document.visibilityState === "hidden"));
  await setFrozen(leader, true);
  await waitFor(async () => (await statesOf(follower)).filter((state) => state === "live").length >= 2);
  await waitFor(hasOneSession(scene.daemon, "ann"));
  await setFrozen(leader, false);
  await bob.updateCustomStatus("IDLE");
  for (const tab of [leader, follower]) {
    await waitFor(sees(tab, "bob", "IDLE"));
    await waitFor(isLive(tab));
  }
  expect(await leader.evaluate(() => lifecycle)).toEqual(expect.arrayContaining(["freeze", "resume"]));
  await waitFor(hasOneSession(scene.daemon, "ann"));
  expect(shown).toEqual(["ONLINE"]);
});
