// Tabs of one browser, in fake time.

import { shareTabs, type ShareTabsOptions } from "../src/tabs.ts";
import { FakeBrowser, type FakeEnvironment, pageEnvironment } from "./fake/environment.ts";
import { FakeServer } from "./fake/server.ts";
import { FakeTime } from "./fake/time.ts";
import { setup, type Setup } from "./harness.ts";

type TabEnvironment = FakeEnvironment & ReturnType<FakeBrowser["tab"]>;

export interface Tab extends Setup {
  readonly env: TabEnvironment;
  /** The tab that has the connection is gone without an event. */
  crash(): void;
}

export interface Tabs {
  readonly time: FakeTime;
  readonly server: FakeServer;
  open(options?: ShareTabsOptions & { user?: string }): Tab;
  /** Opens so many tabs and waits until all are live. */
  openAll(count: number): Promise<Tab[]>;
}

export function browser(): Tabs {
  const time = new FakeTime();
  const server = new FakeServer(time);
  const fake = new FakeBrowser(time);
  const open = ({ user = "me", ...options }: ShareTabsOptions & { user?: string } = {}): Tab => {
    const env = pageEnvironment(time, server, fake) as TabEnvironment;
    const getToken = () => jwt(user);
    const tab = setup({ server, env, getToken, tabs: shareTabs(options) });
    const crash = () => {
      for (const connection of server.connections) connection.end(1006);
      Object.assign(env, { WebSocket: undefined });
      env.crash();
    };
    return { ...tab, env, crash };
  };
  const openAll = async (count: number) => {
    const tabs = Array.from({ length: count }, () => open());
    await time.until(() => tabs.every(({ status }) => status() === "live"));
    return tabs;
  };
  return { time, server, open, openAll };
}

/** The user is what the fake server takes for the token. */
export function jwt(user: string): string {
  return `${btoa("{}")}.${btoa(JSON.stringify({ sub: user })).replaceAll("=", "")}.signature`;
}
