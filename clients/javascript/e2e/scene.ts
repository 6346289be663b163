// What a test runs in: a daemon of its own, a site whose pages use it, and browser contexts for the people.

import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { inject, test as base } from "vitest";
import WebSocket from "ws";
import { connect, type ConnectOptions, type CustomStatus, type PresenceClient } from "../src/index.ts";
import { Daemon, waitFor } from "./daemon.ts";
import { Proxy } from "./proxy.ts";
import { Site, type Visit } from "./site.ts";

/** What the page of {@link Site} has as globals. */
declare const client: PresenceClient;
declare const shown: string[];
declare const states: string[];

/** For what Playwright does; slow machines take long to open a page. */
export const TIMEOUT_MS = 120_000;

let browser: Promise<Browser> | undefined;

export class Scene {
  readonly daemon: Daemon;
  readonly site: Site;
  readonly #contexts: BrowserContext[] = [];
  readonly #clients: PresenceClient[] = [];
  readonly #proxies: Proxy[] = [];

  private constructor(daemon: Daemon, site: Site) {
    this.daemon = daemon;
    this.site = site;
  }

  static async start(...flags: string[]): Promise<Scene> {
    const site = await Site.start();
    const daemon = await Daemon.start("--allowed-origin", site.origin, ...flags);
    site.daemon = daemon;
    return new Scene(daemon, site);
  }

  async end(): Promise<void> {
    for (const open of this.#clients) open.close();
    for (const context of this.#contexts) await context.close();
    for (const proxy of this.#proxies) proxy.close();
    this.site.close();
    await this.daemon.remove();
  }

  async newContext(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    browser ??= chromium.connect(inject("browserUrl"));
    const context = await (await browser).newContext(options);
    context.setDefaultTimeout(TIMEOUT_MS);
    this.#contexts.push(context);
    return context;
  }

  /** A network to the daemon that can fail. */
  async proxy(): Promise<Proxy> {
    const proxy = await Proxy.start(this.daemon.port);
    this.#proxies.push(proxy);
    return proxy;
  }

  /** Opens a page, and waits until it is live. */
  async visit(context: BrowserContext, whom: Visit): Promise<Page> {
    const page = await context.newPage();
    await page.goto(this.site.address(whom));
    await waitFor(isLive(page));
    return page;
  }

  /**
   * Two people in two contexts who watch each other. What bob was shown begins with ann's ONLINE. He is there first: if
   * she becomes idle before he looks, he was shown both.
   */
  async two(options: Partial<Visit> = {}): Promise<{ ann: Page; bob: Page; annContext: BrowserContext }> {
    const bob = await this.visit(await this.newContext(), { user: "bob", watch: "ann" });
    const annContext = await this.newContext();
    const ann = await this.visit(annContext, { user: "ann", watch: "bob", ...options });
    await waitFor(async () => (await shownTo(bob)).includes("ONLINE"));
    await bob.evaluate(() => shown.splice(0, shown.indexOf("ONLINE")));
    await waitFor(sees(ann, "bob", "ONLINE"));
    return { ann, bob, annContext };
  }

  /**
   * Ann in a page, watched by a client in this process, which misses nothing and costs little. What it was shown begins
   * with her ONLINE.
   */
  async watched(options: Partial<Visit> = {}, context?: BrowserContext): Promise<{ ann: Page; bob: PresenceClient; shown: string[] }> {
    const bob = await this.live("bob");
    const seen = statuses(bob, "ann");
    await waitFor(() => seen.length > 0);
    const ann = await this.visit(context ?? (await this.newContext()), { user: "ann", watch: "bob", ...options });
    await waitFor(() => seen.length > 1);
    seen.shift();
    await waitFor(sees(ann, "bob", "ONLINE"));
    return { ann, bob, shown: seen };
  }

  /** A client in this process; not yet live. */
  connect(userId: string, options: Partial<ConnectOptions> & { seconds?: number } = {}): PresenceClient {
    const getToken = () => this.daemon.token(userId, options.seconds);
    const opened = connect({ url: this.daemon.wsUrl, getToken, WebSocket, ...options });
    this.#clients.push(opened);
    return opened;
  }

  async live(userId: string, options: Parameters<Scene["connect"]>[1] = {}): Promise<PresenceClient> {
    const opened = this.connect(userId, options);
    await waitFor(() => opened.connection.getSnapshot().status === "live");
    return opened;
  }
}

/** Every status that a client was shown of a user, without repetitions. */
export function statuses(watcher: PresenceClient, userId: string): string[] {
  const seen: string[] = [];
  watcher.watch([userId], (changes) => {
    const status = changes.get(userId)?.status ?? "gone";
    if (status !== seen.at(-1)) seen.push(status);
  });
  return seen;
}

export const statusOf = (page: Page, userId: string) => page.evaluate((id) => client.get(id)?.status, userId);
export const shownTo = (page: Page) => page.evaluate(() => shown);
export const statesOf = (page: Page) => page.evaluate(() => states);
export const isLive = (page: Page) => async () => (await page.evaluate(() => client.connection.getSnapshot().status)) === "live";
export const sees = (page: Page, userId: string, expected: string) => async () => (await statusOf(page, userId)) === expected;

/** Whether what was shown is these statuses, in this order. */
export const hasShown = (page: Page, ...expected: string[]) => async () => (await shownTo(page)).join() === expected.join();

/** Whether a user has one session: one that has just been replaced may still be there, or the next one not yet. */
export const hasOneSession = (daemon: Daemon, userId: string) => async () => (await daemon.presence(userId)).sessions === 1;

const setStatus = (page: Page, customStatus: CustomStatus) =>
  page.evaluate((status) => client.updateCustomStatus(status).then(() => undefined), customStatus);

/** A change of ann's reaches bob, and one of bob's ann: nothing shown is out of date. */
export async function areCurrent(ann: Page, bob: Page | PresenceClient): Promise<void> {
  const isClient = "updateCustomStatus" in bob;
  await setStatus(ann, "DO_NOT_DISTURB");
  await waitFor(isClient ? () => bob.get("ann")?.status === "DO_NOT_DISTURB" : sees(bob, "ann", "DO_NOT_DISTURB"));
  await (isClient ? bob.updateCustomStatus("IDLE") : setStatus(bob, "IDLE"));
  await waitFor(sees(ann, "bob", "IDLE"));
}

type StartScene = (...flags: string[]) => Promise<Scene>;

/** A test that may start scenes, which end with it. */
export const test = base.extend<{ start: StartScene }>({
  start: async ({}, use) => {
    const scenes: Scene[] = [];
    await use(async (...flags) => {
      const scene = await Scene.start(...flags);
      scenes.push(scene);
      return scene;
    });
    for (const scene of scenes) await scene.end();
  },
});
