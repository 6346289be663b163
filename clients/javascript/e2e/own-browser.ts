// A browser that treats background tabs as it does a user's. Playwright starts browsers with switches against that, and
// makes them take every page for a focused one, so this one is started here. Headless Chromium does hide tabs behind
// others, throttles their timers and fires the events of freezing.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { waitFor } from "./daemon.ts";
import { TIMEOUT_MS } from "./scene.ts";

/** After so long in the background timers run once a minute; by default after 5 minutes. */
const THROTTLING = "IntensiveWakeUpThrottling:grace_period_seconds/5";

const CONNECT_TIMEOUT_MS = 20_000;

export class OwnBrowser {
  readonly #process: ChildProcessByStdio<null, null, Readable>;
  readonly #directory: string;
  #context: BrowserContext | undefined;

  private constructor(process: ChildProcessByStdio<null, null, Readable>, directory: string) {
    this.#process = process;
    this.#directory = directory;
  }

  static async start(): Promise<OwnBrowser> {
    const directory = mkdtempSync(join(tmpdir(), "presenced-browser-"));
    const flags = ["--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu", "--remote-debugging-port=0"];
    const started = spawn(
      process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      [...flags, `--enable-features=${THROTTLING}`, `--user-data-dir=${directory}`, "about:blank"],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    const own = new OwnBrowser(started, directory);
    try {
      own.#context = await connect(started);
    } catch (error) {
      await own.end();
      throw error;
    }
    return own;
  }

  get context(): BrowserContext {
    if (!this.#context) throw new Error("the browser has not started");
    return this.#context;
  }

  async end(): Promise<void> {
    await this.#context?.browser()?.close();
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGTERM");
      await ended;
    }
    // The browser's other processes end after it, and write until then. `maxRetries` does not look for what is new.
    await waitFor(() => {
      rmSync(this.#directory, { recursive: true, force: true });
      return true;
    }, TIMEOUT_MS);
  }

  /** Opens another tab in front of a page. */
  async hide(page: Page): Promise<void> {
    await (await this.context.newPage()).bringToFront();
    await waitFor(() => page.evaluate(() => document.visibilityState === "hidden"));
  }
}

async function connect(started: ChildProcessByStdio<null, null, Readable>): Promise<BrowserContext> {
  let log = "";
  started.stderr.on("data", (text) => (log += String(text)));
  const address = () => /^DevTools listening on (ws:\S+)/m.exec(log)?.[1];
  await waitFor(() => started.exitCode !== null || address() !== undefined, TIMEOUT_MS);
  if (started.exitCode !== null) throw new Error(`the browser has ended: ${log}`);
  // Playwright may wait for ever for a first tab that is about to be made when it connects: it connects afterwards, and
  // again if that was in vain.
  const list = `http://${new URL(address() ?? "").host}/json/list`;
  await waitFor(async () => ((await (await fetch(list)).json()) as { type: string }[]).some(({ type }) => type === "page"), TIMEOUT_MS);
  let browser: Browser | undefined;
  await waitFor(async () => {
    browser = await chromium.connectOverCDP(address() ?? "", { noDefaults: true, timeout: CONNECT_TIMEOUT_MS });
    return true;
  }, TIMEOUT_MS);
  if (!browser) throw new Error("the browser took no connection");
  const [context] = browser.contexts();
  if (!context) throw new Error("a browser has a context");
  context.setDefaultTimeout(TIMEOUT_MS);
  return context;
}

/** Freezes a page in the background, as browsers do to save power, or lets it run again. */
export async function setFrozen(page: Page, isFrozen: boolean): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Page.setWebLifecycleState", { state: isFrozen ? "frozen" : "active" });
}
