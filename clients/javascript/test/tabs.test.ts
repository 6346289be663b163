import { describe, expect, test } from "vitest";
import type { PresenceError } from "../src/index.ts";
import { shareTabs } from "../src/tabs.ts";
import { FakeBrowser, pageEnvironment } from "./fake/environment.ts";
import { FakeServer } from "./fake/server.ts";
import { FakeTime } from "./fake/time.ts";
import { setup } from "./harness.ts";
import { browser, jwt, type Tab } from "./tab-harness.ts";

describe("many tabs", () => {
  test("twenty tabs make one connection and know the same", async () => {
    const { server, time, openAll } = browser();
    const tabs = await openAll(20);
    expect(server.handshakes.length).toBe(1);
    tabs.forEach(({ client }, index) => client.watch(["bob", `only-${index}`], () => undefined));
    await time.advance(100);
    server.set("bob", { status: "ONLINE" });
    await time.advance(100);
    for (const [index, { client }] of tabs.entries()) {
      expect(client.get("bob")?.status).toBe("ONLINE");
      expect(client.get(`only-${index}`)?.status).toBe("OFFLINE");
      expect(client.get(`only-${index + 1}`)).toBeUndefined();
      expect(client.own.getSnapshot().record?.userId).toBe(server.handshakes[0]);
      expect(Math.abs((client.serverNow() ?? 0) - Date.parse(server.now()))).toBeLessThan(20);
    }
    expect([...server.connections][0]?.watched.size).toBe(21);
  });

  test("what one tab does not watch any more stays watched for another", async () => {
    const { server, time, openAll } = browser();
    const tabs = await openAll(3);
    const ends = tabs.map(({ client }) => client.watch(["bob"], () => undefined));
    await time.advance(100);
    for (const end of ends.slice(0, 2)) end();
    await time.advance(100);
    expect(server.messages("unwatch")).toEqual([]);
    ends[2]?.();
    await time.advance(100);
    expect(server.messages("unwatch").length).toBe(1);
  });

  test("a tab that opens later knows at once what the others know", async () => {
    const { server, time, open, openAll } = browser();
    const [first] = await openAll(1);
    first?.client.watch(["bob"], () => undefined);
    await time.advance(100);
    const late = open();
    late.client.watch(["bob"], () => undefined);
    await time.advance(20);
    expect(late.client.get("bob")).toBeDefined();
    expect(late.status()).toBe("live");
    expect(server.messages("watch").length).toBe(1);
  });

  test("records keep their identity in a tab when others are told again", async () => {
    const { server, time, openAll } = browser();
    const [, second] = await openAll(2);
    let calls = 0;
    second?.client.watch(["bob"], () => (calls += 1));
    await time.advance(100);
    const record = second?.client.get("bob");
    server.restart(false);
    await time.advance(3000);
    expect(second?.client.get("bob")).toBe(record);
    expect(Object.isFrozen(record)).toBe(true);
    expect(calls).toBe(1);
  });

  test("a custom status can be set in any tab and is shown in all", async () => {
    const { time, server, openAll } = browser();
    const tabs = await openAll(3);
    const done = tabs[2]?.client.updateCustomStatus("DO_NOT_DISTURB");
    await time.advance(100);
    expect((await done)?.customStatus).toBe("DO_NOT_DISTURB");
    for (const { client } of tabs) expect(client.own.getSnapshot()).toMatchObject({ customStatus: "DO_NOT_DISTURB", isPending: false });
    server.refusals.push({ type: "setStatus", code: "store_unavailable" });
    const refused = tabs[1]?.client.updateCustomStatus("IDLE");
    const code = refused?.then(() => "done", (error: unknown) => (error as PresenceError).code);
    await time.advance(100);
    expect(await code).toBe("store_unavailable");
  });

  test("an input in any tab is activity, and none in any of them is idleness", async () => {
    const { time, server, openAll } = browser();
    const tabs = await openAll(3);
    const reports = () => server.messages("activity").map(({ idle }) => (idle ? "idle" : "active"));
    await time.advance(200_000);
    tabs[2]?.env.document.dispatch("keydown");
    await time.advance(250_000);
    expect(reports()).toEqual(["active", "active"]);
    await time.advance(60_000);
    expect(reports()).toEqual(["active", "active", "idle"]);
    tabs[1]?.env.document.dispatch("keydown");
    await time.advance(20);
    expect(reports().at(-1)).toBe("active");
  });

  test("opening one more tab is activity", async () => {
    const { time, server, open, openAll } = browser();
    await openAll(2);
    await time.advance(310_000);
    expect(server.messages("activity").at(-1)).toMatchObject({ type: "activity", idle: true });
    open();
    await time.advance(200);
    expect(server.messages("activity").at(-1)).toEqual({ type: "activity", idle: false, agoMs: 0 });
  });

  test("tabs of different users don't share a connection", async () => {
    const { time, server, open } = browser();
    const tabs = [open({ user: "ann" }), open({ user: "bob" }), open({ user: "ann" })];
    await time.until(() => tabs.every(({ status }) => status() === "live"));
    expect(server.handshakes.length).toBe(2);
  });

  test("with a known user only the tab that connects needs a token", async () => {
    const { time, server, open } = browser();
    const tabs = [open({ userId: "me" }), open({ userId: "me" })];
    await time.until(() => tabs.every(({ status }) => status() === "live"));
    expect(server.handshakes.length).toBe(1);
  });

  test("without locks each tab has its own connection", async () => {
    const time = new FakeTime();
    const server = new FakeServer(time);
    const tabs = [1, 2].map(() => setup({ server, tabs: shareTabs() }));
    await time.until(() => tabs.every(({ status }) => status() === "live"));
    expect(server.handshakes.length).toBe(2);
  });
});

describe("takeover", () => {
  async function three() {
    const all = browser();
    const tabs = await all.openAll(3);
    for (const { client } of tabs) client.watch(["bob"], () => undefined);
    await all.time.advance(100);
    const [leader, second, third] = tabs as [Tab, Tab, Tab];
    const { sessionId } = [...all.server.connections][0] ?? { sessionId: "" };
    return { ...all, leader, second, third, sessionId };
  }

  test("when the leader closes another tab continues its session within a second, and nobody is signed out", async () => {
    const { time, server, leader, second, third, sessionId } = await three();
    const [socket] = server.connections;
    leader.client.close();
    expect(socket?.closedWith).toBe(3000);
    await time.advance(200);
    expect(second.status()).toBe("live");
    expect(third.status()).toBe("live");
    expect(server.connections.size).toBe(1);
    expect(server.messages("resume")).toEqual([{ type: "resume", sessionId }]);
    server.set("bob", { status: "IDLE" });
    await time.advance(50);
    expect([leader, second, third].map(({ client }) => client.get("bob")?.status)).toEqual(["OFFLINE", "IDLE", "IDLE"]);
  });

  test("the last tab signs out", async () => {
    const { time, server, leader, second, third } = await three();
    for (const { client } of [third, leader]) client.close();
    await time.advance(200);
    const [socket] = server.connections;
    second.client.close();
    expect(socket?.closedWith).toBe(1000);
  });

  test("when the leader crashes", async () => {
    const { time, server, leader, second } = await three();
    leader.crash();
    await time.advance(300);
    expect(second.status()).toBe("live");
    expect(server.connections.size).toBe(1);
  });

  test("when the leader is frozen; thawed, it follows", async () => {
    const { time, server, leader, second } = await three();
    leader.env.document.dispatch("freeze");
    leader.env.suspended.value = true;
    await time.advance(500);
    expect(second.status()).toBe("live");
    expect(server.connections.size).toBe(1);
    server.set("bob", { status: "ONLINE" });
    await time.advance(60_000);
    leader.env.suspended.value = false;
    leader.env.document.dispatch("resume");
    await time.advance(300);
    expect(leader.client.get("bob")?.status).toBe("ONLINE");
    expect(leader.status()).toBe("live");
    expect(server.connections.size).toBe(1);
  });

  test("a frozen tab without others stays connected, and gives way to one that opens meanwhile", async () => {
    const { time, server, open, openAll } = browser();
    const [only] = (await openAll(1)) as [Tab];
    only.client.watch(["bob"], () => undefined);
    only.env.document.dispatch("freeze");
    only.env.suspended.value = true;
    await time.advance(5000);
    expect(server.connections.size).toBe(1);
    const late = open();
    await time.until(() => late.status() === "live");
    only.env.suspended.value = false;
    only.env.document.dispatch("resume");
    await time.advance(1000);
    expect(server.connections.size).toBe(1);
    expect(only.status()).toBe("live");
    server.set("bob", { status: "ONLINE" });
    await time.advance(50);
    expect(only.client.get("bob")?.status).toBe("ONLINE");
  });

  test("a leader that goes to the back/forward cache lets go, and follows when it is back", async () => {
    const { time, server, leader, second } = await three();
    leader.env.window.dispatch("pagehide", { persisted: true });
    await time.advance(500);
    expect(second.status()).toBe("live");
    leader.env.window.dispatch("pageshow", { persisted: true });
    await time.advance(500);
    expect(leader.status()).toBe("live");
    expect(server.connections.size).toBe(1);
    server.set("bob", { status: "IDLE" });
    await time.advance(50);
    expect(leader.client.get("bob")?.status).toBe("IDLE");
  });

  test("a leader that does not answer is replaced; when it runs again it follows", async () => {
    const { time, server, leader, second, third } = await three();
    leader.env.suspended.value = true;
    second.env.document.dispatch("keydown");
    await time.advance(2000);
    expect(second.status()).toBe("live");
    server.set("bob", { status: "ONLINE" });
    await time.advance(100);
    expect(second.client.get("bob")?.status).toBe("ONLINE");
    expect(third.client.get("bob")?.status).toBe("ONLINE");
    leader.env.suspended.value = false;
    await time.advance(10_000);
    expect(leader.status()).toBe("live");
    expect(leader.client.get("bob")?.status).toBe("ONLINE");
    expect(server.connections.size).toBe(1);
  });

  test("a visible follower notices a silent leader without an input", async () => {
    const { time, server, leader, second } = await three();
    const before = server.handshakes.length;
    leader.env.suspended.value = true;
    await time.advance(8000);
    expect(server.handshakes.length).toBe(before + 1);
    expect(second.status()).toBe("live");
  });

  test("a busy but living leader is left alone", async () => {
    const { time, server, second } = await three();
    for (let second_ = 0; second_ < 120; second_ += 1) {
      second.env.document.dispatch("pointermove");
      await time.advance(1000);
    }
    expect(server.handshakes.length).toBe(1);
  });

  test("the new leader knows of the last input in another tab", async () => {
    const { time, server, leader, third } = await three();
    await time.advance(200_000);
    third.env.document.dispatch("keydown");
    await time.advance(100);
    leader.client.close();
    await time.advance(200_000);
    const reports = server.messages("activity").map(({ idle }) => (idle ? "idle" : "active"));
    expect(reports).not.toContain("idle");
    await time.advance(101_000);
    expect(server.messages("activity").at(-1)).toMatchObject({ type: "activity", idle: true });
  });

  test("a custom status that was under way with the leader is set by its successor", async () => {
    const { time, server, leader, third } = await three();
    server.setStatusDelayMs = 1000;
    const done = third.client.updateCustomStatus("DO_NOT_DISTURB");
    await time.advance(100);
    leader.client.close();
    await time.advance(5000);
    expect((await done).customStatus).toBe("DO_NOT_DISTURB");
    expect(server.ownRecord([...server.connections][0]?.userId ?? "").customStatus).toBe("DO_NOT_DISTURB");
  });

  test("a kick stops all tabs, and no tab connects again", async () => {
    const { time, server, leader, second, third } = await three();
    for (const connection of server.connections) connection.goodbye(4003, "kicked");
    await time.advance(60_000);
    for (const { client } of [leader, second, third])
      expect(client.connection.getSnapshot()).toEqual({ status: "stopped", reason: "kicked" });
    expect(server.handshakes.length).toBe(1);
  });
});

describe("identification", () => {
  test("a token that can't be fetched is asked for again", async () => {
    const time = new FakeTime();
    const server = new FakeServer(time);
    const env = pageEnvironment(time, server, new FakeBrowser(time));
    let calls = 0;
    const getToken = () => (++calls < 3 ? Promise.reject(new Error("offline")) : Promise.resolve(jwt("me")));
    const { status, errors } = setup({ server, env, getToken, tabs: shareTabs() });
    await time.until(() => status() === "live");
    expect(errors.map(({ code }) => code)).toEqual(["token_failed", "token_failed"]);
    expect(calls).toBe(3);
  });

  test("no token stops the tab", async () => {
    const time = new FakeTime();
    const server = new FakeServer(time);
    const env = pageEnvironment(time, server, new FakeBrowser(time));
    const { client } = setup({ server, env, getToken: () => null, tabs: shareTabs() });
    await time.advance(100);
    expect(client.connection.getSnapshot()).toEqual({ status: "stopped", reason: "signed_out" });
  });
});
