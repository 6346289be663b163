// The package as it is built, in a real browser, against a real daemon.

import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { PresenceClient } from "../src/index.ts";
import { Daemon, waitFor } from "./daemon.ts";
import { Site, type Visit } from "./site.ts";

/** What the page of {@link Site} has as globals. */
declare const client: PresenceClient;
declare const shown: string[];
declare const states: string[];

let browser: Browser;
let site: Site;
let daemon: Daemon;
const contexts: BrowserContext[] = [];

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
});

beforeEach(async () => {
  site = await Site.start();
  daemon = await Daemon.start("--allowed-origin", site.origin);
  site.daemon = daemon;
});

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
  site.close();
  await daemon.remove();
});

afterAll(async () => {
  await browser.close();
});

async function newContext(): Promise<BrowserContext> {
  const context = await browser.newContext();
  contexts.push(context);
  return context;
}

const status = (page: Page) => page.evaluate(() => client.connection.getSnapshot().status);
const shownTo = (page: Page) => page.evaluate(() => shown);
const statusOf = (page: Page, userId: string) => page.evaluate((id) => client.get(id)?.status, userId);
const isLive = (page: Page) => async () => (await status(page)) === "live";
const sees = (page: Page, userId: string, expected: string) => async () => (await statusOf(page, userId)) === expected;

async function visit(context: BrowserContext, whom: Visit): Promise<Page> {
  const page = await context.newPage();
  await page.goto(site.address(whom));
  await waitFor(isLive(page));
  return page;
}

/** Two people in two contexts who watch each other, both shown ONLINE. */
async function two(options: Partial<Visit> = {}): Promise<{ ann: Page; bob: Page; annContext: BrowserContext }> {
  const annContext = await newContext();
  const ann = await visit(annContext, { user: "ann", watch: "bob", ...options });
  const bob = await visit(await newContext(), { user: "bob", watch: "ann" });
  await waitFor(sees(bob, "ann", "ONLINE"));
  await waitFor(sees(ann, "bob", "ONLINE"));
  return { ann, bob, annContext };
}

/** A change of ann's reaches bob, and one of bob's ann: nothing shown is out of date. */
async function expectCurrent(ann: Page, bob: Page): Promise<void> {
  await ann.evaluate(() => client.updateCustomStatus("DO_NOT_DISTURB").then(() => undefined));
  await waitFor(sees(bob, "ann", "DO_NOT_DISTURB"));
  await bob.evaluate(() => client.updateCustomStatus("IDLE").then(() => undefined));
  await waitFor(sees(ann, "bob", "IDLE"));
}

/**
 * Freezes or thaws a page. Headless Chromium deems every page visible, and fires no event when it freezes such a page:
 * the test fires it.
 */
async function setFrozen(page: Page, isFrozen: boolean): Promise<void> {
  const cdp = await page.context().newCDPSession(page);
  const fire = (type: string) => page.evaluate((name) => document.dispatchEvent(new Event(name)), type);
  if (isFrozen) await fire("freeze");
  await cdp.send("Page.setWebLifecycleState", { state: isFrozen ? "frozen" : "active" });
  if (!isFrozen) await fire("resume");
}

test("two people see each other change, and leave when the tab is closed", async () => {
  const { ann, bob } = await two();
  await expectCurrent(ann, bob);
  await ann.close();
  await waitFor(sees(bob, "ann", "OFFLINE"));
  expect(await shownTo(bob)).toEqual(["ONLINE", "DO_NOT_DISTURB", "OFFLINE"]);
});

test("a reload, and back and forward, are no event for others", async () => {
  const { ann, bob } = await two();
  await ann.reload();
  await waitFor(isLive(ann));
  await ann.goto(`${site.origin}/other`);
  await ann.goBack();
  await waitFor(isLive(ann));
  await ann.goForward();
  await ann.goBack();
  await waitFor(isLive(ann));
  expect(await shownTo(bob)).toEqual(["ONLINE"]);
  await expectCurrent(ann, bob);
  expect((await daemon.presence("ann")).sessions).toBe(1);
});

test("a page that was frozen and thawed shows what happened meanwhile", async () => {
  const { ann, bob } = await two();
  await setFrozen(ann, true);
  await bob.evaluate(() => client.updateCustomStatus("DO_NOT_DISTURB").then(() => undefined));
  await waitFor(async () => (await daemon.presence("bob")).status === "DO_NOT_DISTURB");
  await setFrozen(ann, false);
  await waitFor(sees(ann, "bob", "DO_NOT_DISTURB"));
  expect(await shownTo(bob)).toEqual(["ONLINE"]);
});

test.each(["SIGTERM", "SIGKILL"] as const)("%s and a start of the daemon are no event, and nothing is out of date", async (signal) => {
  const { ann, bob } = await two();
  const before = [await shownTo(ann), await shownTo(bob)];
  await daemon.stop(signal);
  await daemon.startAgain();
  await waitFor(async () => (await isLive(ann)()) && (await isLive(bob)()), 30_000);
  expect([await shownTo(ann), await shownTo(bob)]).toEqual(before);
  await expectCurrent(ann, bob);
});

test("20 s offline are no event, and nothing is out of date afterwards", async () => {
  const { ann, bob, annContext } = await two();
  await annContext.setOffline(true);
  const until = performance.now() + 20_000;
  await waitFor(() => performance.now() > until, 25_000);
  await annContext.setOffline(false);
  await waitFor(isLive(ann), 30_000);
  await expectCurrent(ann, bob);
  expect(await shownTo(bob)).toEqual(["ONLINE", "DO_NOT_DISTURB"]);
});

test("tokens of 5 s for half a minute: idle in time, last active is the last input, no event", async () => {
  const { ann, bob } = await two({ seconds: 5, idle: 15_000 });
  await ann.keyboard.press("a");
  const { lastActive } = await daemon.presence("ann");
  const startedAt = performance.now();
  await waitFor(sees(bob, "ann", "IDLE"), 20_000);
  expect(performance.now() - startedAt).toBeGreaterThan(13_000);
  await waitFor(() => performance.now() - startedAt > 30_000, 35_000);
  await waitFor(isLive(ann));
  expect(await shownTo(bob)).toEqual(["ONLINE", "IDLE"]);
  expect((await daemon.presence("ann")).lastActive).toBe(lastActive);
  expect((await ann.evaluate(() => states)).filter((state) => state === "waiting").length).toBeGreaterThanOrEqual(5);
});

test("a page whose clock is set back two hours reports inputs and tells times all the same", async () => {
  const { ann, bob } = await two({ idle: 3000 });
  await ann.evaluate(() => {
    const now = Date.now.bind(Date);
    Date.now = () => now() - 7_200_000;
  });
  await waitFor(sees(bob, "ann", "IDLE"));
  await ann.keyboard.press("a");
  await waitFor(sees(bob, "ann", "ONLINE"));
  const serverNow = await ann.evaluate(() => client.serverNow() ?? 0);
  expect(Math.abs(serverNow - Date.now())).toBeLessThan(1000);
});

test("a storm of visibility changes leaves the connection alone", async () => {
  const { ann, bob } = await two();
  await ann.evaluate(async () => {
    for (let turn = 0; turn < 300; turn += 1) {
      document.dispatchEvent(new Event("visibilitychange"));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  expect(await ann.evaluate(() => states)).toEqual(["live"]);
  expect(await shownTo(bob)).toEqual(["ONLINE"]);
});

test("five tabs have one connection; when its tab closes another takes over within a second", async () => {
  const bob = await visit(await newContext(), { user: "bob", watch: "ann" });
  const context = await newContext();
  const tabs: Page[] = [];
  for (let index = 0; index < 5; index += 1) tabs.push(await visit(context, { user: "ann", watch: "bob", share: true }));
  await waitFor(sees(bob, "ann", "ONLINE"));
  expect((await daemon.presence("ann")).sessions).toBe(1);
  for (const tab of tabs) await waitFor(sees(tab, "bob", "ONLINE"));
  const [leader, ...others] = tabs;
  await leader?.close();
  const closedAt = performance.now();
  await waitFor(async () => (await daemon.presence("ann")).sessions === 1 && (await Promise.all(others.map(status))).every((now) => now === "live"));
  expect(performance.now() - closedAt).toBeLessThan(1000);
  await bob.evaluate(() => client.updateCustomStatus("DO_NOT_DISTURB").then(() => undefined));
  for (const tab of others) await waitFor(sees(tab, "bob", "DO_NOT_DISTURB"));
  for (const tab of others) await tab.close();
  await waitFor(sees(bob, "ann", "OFFLINE"));
  expect((await shownTo(bob)).slice(-2)).toEqual(["ONLINE", "OFFLINE"]);
});

test("when the tab that has the connection is frozen another takes over within a second", async () => {
  const bob = await visit(await newContext(), { user: "bob", watch: "ann" });
  const context = await newContext();
  const leader = await visit(context, { user: "ann", watch: "bob", share: true });
  const follower = await visit(context, { user: "ann", watch: "bob", share: true });
  await waitFor(sees(bob, "ann", "ONLINE"));
  await setFrozen(leader, true);
  const frozenAt = performance.now();
  await waitFor(async () => (await follower.evaluate(() => states)).filter((state) => state === "live").length >= 2);
  expect(performance.now() - frozenAt).toBeLessThan(1000);
  expect((await daemon.presence("ann")).sessions).toBe(1);
  await setFrozen(leader, false);
  await bob.evaluate(() => client.updateCustomStatus("IDLE").then(() => undefined));
  for (const tab of [leader, follower]) await waitFor(sees(tab, "bob", "IDLE"));
  expect((await daemon.presence("ann")).sessions).toBe(1);
  expect((await shownTo(bob)).slice(-1)).toEqual(["ONLINE"]);
});
