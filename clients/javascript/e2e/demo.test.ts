// The demonstration page of a real daemon, in a real browser.

import type { BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import { waitFor } from "./daemon.ts";
import { type Scene, test as base } from "./scene.ts";

interface Demo {
  readonly scene: Scene;
  /** What pages complained of: errors, and what the content security policy refused. */
  readonly complaints: string[];
  open(query: string, options?: BrowserContextOptions): Promise<Page>;
}

const test = base.extend<{ demo: Demo }>({
  demo: async ({ start }, use) => {
    // Long enough for a page that a slow machine reloads.
    const scene = await start("--demo", "--grace", "20s");
    const complaints: string[] = [];
    const open = async (query: string, options: BrowserContextOptions = {}) => {
      const page = await (await scene.newContext(options)).newPage();
      page.on("pageerror", (error) => complaints.push(String(error)));
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      await page.goto(`http://127.0.0.1:${scene.daemon.port}/demo${query}`);
      return page;
    };
    await use({ scene, complaints, open });
    expect(complaints).toEqual([]);
  },
});

const sees = (page: Page, user: string, status: string) => async () =>
  (await page.locator(`[data-user="${user}"] .status`).getAttribute("data-status")) === status;
const seen = (page: Page, user: string) => page.locator(`[data-user="${user}"] .seen`).textContent();
const isConnected = (page: Page) => async () => (await page.locator("#connection").textContent()) === "Connected.";

test("two windows are two people, who see each other come, change and go", async ({ demo }) => {
  const ada = await demo.open("?user=ada");
  await waitFor(isConnected(ada));
  await waitFor(sees(ada, "ben", "OFFLINE"));
  expect(await seen(ada, "ben")).toBe("never seen");
  expect(await ada.title()).toContain("ada");
  const ben = await demo.open("?user=ben");
  await waitFor(sees(ada, "ben", "ONLINE"));
  await ben.locator("#statuses").getByText("DO NOT DISTURB").click();
  await waitFor(sees(ada, "ben", "DO_NOT_DISTURB"));
  expect(await ben.locator('#statuses [aria-pressed="true"]').textContent()).toBe("DO NOT DISTURB");
  await ben.reload();
  await waitFor(isConnected(ben));
  await ben.close();
  await waitFor(sees(ada, "ben", "OFFLINE"));
  await waitFor(async () => /^last seen .* ago$/.test((await seen(ada, "ben")) ?? ""));
  const changes = await ada.locator("#changes li").allTextContents();
  expect(changes.map((line) => line.slice(line.indexOf("ben")))).toEqual([
    "ben: DO NOT DISTURB → OFFLINE",
    "ben: ONLINE → DO NOT DISTURB",
    "ben: OFFLINE → ONLINE",
  ]);
});

test("a name is suggested or typed, by keyboard alone, and other windows list it", async ({ demo }) => {
  const page = await demo.open("");
  expect(await page.locator("#notice").textContent()).toContain("Anybody on this machine can be anybody");
  expect(await page.locator("#names a").count()).toBe(8);
  await page.getByLabel("or type a name").focus();
  await page.keyboard.type("zoë");
  await page.keyboard.press("Enter");
  await waitFor(isConnected(page));
  expect(new URL(page.url()).searchParams.get("user")).toBe("zoë");
  await waitFor(sees(page, "zoë", "ONLINE"));
  const [link] = await Promise.all([page.waitForEvent("popup"), page.locator('[data-user="ben"] .open').press("Enter")]);
  await waitFor(isConnected(link));
  expect(new URL(link.url()).searchParams.get("user")).toBe("ben");
  await waitFor(sees(link, "zoë", "ONLINE"));
  await link.getByLabel("Show another name").fill("max");
  await link.keyboard.press("Enter");
  await waitFor(sees(page, "max", "OFFLINE"));
});

test("an invalid name is refused at its field", async ({ demo }) => {
  const page = await demo.open("");
  await page.getByLabel("or type a name").fill("..");
  await page.keyboard.press("Enter");
  expect(await page.locator("#own-name-input").evaluate((field: HTMLInputElement) => field.validationMessage)).toContain("A name");
  expect(new URL(page.url()).search).toBe("");
});

test("what is shown is marked as out of date while the daemon is away", async ({ demo }) => {
  const page = await demo.open("?user=ada");
  await waitFor(isConnected(page));
  await demo.scene.daemon.stop();
  await waitFor(async () => (await page.locator("#people.outdated").count()) === 1);
  await demo.scene.daemon.startAgain();
  await waitFor(isConnected(page));
  expect(await page.locator("#people.outdated").count()).toBe(0);
  demo.complaints.length = 0; // the browser logs each connection that fails
});

test.for(["light", "dark"] as const)("on a phone nothing is wider than the screen (%s)", async (colorScheme, { demo }) => {
  const page = await demo.open(`?user=${"wide".repeat(32)}`, { viewport: { width: 320, height: 640 }, colorScheme });
  await waitFor(isConnected(page));
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
});
