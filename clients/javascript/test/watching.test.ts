import { describe, expect, test } from "vitest";
import type { Changes, PresenceRecord } from "../src/index.ts";
import { live, setup } from "./harness.ts";

const ids = (count: number, length = 8) => Array.from({ length: count }, (_, index) => `u${index}`.padEnd(length, "x"));

describe("watching", () => {
  test("calls back with the snapshot and with changes, those of one frame together", async () => {
    const { time, client, server } = await live();
    server.set("bob", { status: "ONLINE" });
    const calls: Changes[] = [];
    client.watch(["bob", "carol"], (changes) => calls.push(changes));
    await time.advance(50);
    expect(calls.map((changes) => [...changes.keys()])).toEqual([["bob", "carol"]]);
    server.set("bob", { status: "IDLE" });
    server.set("carol", { status: "IDLE" });
    await time.advance(50);
    expect(calls.length).toBe(2);
    expect(calls[1]?.get("carol")?.status).toBe("IDLE");
  });

  test("is counted: ten watches are one message, and the last one to end is the other", async () => {
    const { time, client, server } = await live();
    const ends = Array.from({ length: 10 }, () => client.watch(["bob"], () => undefined));
    await time.advance(50);
    for (const end of ends.slice(1)) end();
    ends[1]?.();
    await time.advance(50);
    expect(server.messages("watch").map(({ userIds }) => userIds)).toEqual([["bob"]]);
    expect(server.messages("unwatch")).toEqual([]);
    ends[0]?.();
    await time.advance(50);
    expect(server.messages("unwatch").map(({ userIds }) => userIds)).toEqual([["bob"]]);
    expect(client.get("bob")).toBeUndefined();
  });

  test("changes within one task are one message, and those that cancel each other none", async () => {
    const { time, client, server } = await live();
    client.watch(["a"], () => undefined);
    client.watch(["b"], () => undefined);
    client.watch(["c"], () => undefined)();
    await time.advance(50);
    expect(server.messages("watch").map(({ userIds }) => userIds)).toEqual([["a", "b"]]);
    expect(server.messages("unwatch")).toEqual([]);
  });

  test("a watch that ends and begins again in one task keeps its record", async () => {
    const { time, client, server } = await live();
    const end = client.watch(["bob"], () => undefined);
    await time.advance(50);
    const record = client.get("bob");
    end();
    client.watch(["bob"], () => undefined);
    expect(client.get("bob")).toBe(record);
    await time.advance(50);
    expect(client.get("bob")).toBe(record);
    expect(server.messages("watch").length).toBe(1);
  });

  test("a later watch of a known user is called back too, without a message", async () => {
    const { time, client, server } = await live();
    client.watch(["bob"], () => undefined);
    await time.advance(50);
    const calls: Changes[] = [];
    client.watch(["bob"], (changes) => calls.push(changes));
    await time.advance(0);
    expect([...(calls[0]?.keys() ?? [])]).toEqual(["bob"]);
    expect(server.messages("watch").length).toBe(1);
  });

  test("records are frozen and keep their identity while unchanged, across reconnects too", async () => {
    const { time, client, server, status, socket } = await live();
    server.set("bob", { status: "ONLINE" });
    let calls = 0;
    client.watch(["bob"], () => (calls += 1));
    await time.advance(50);
    const record = client.get("bob");
    expect(Object.isFrozen(record)).toBe(true);
    for (const isClean of [true, false]) {
      server.restart(isClean);
      await time.advance(20);
      await time.until(() => status() === "live");
    }
    expect(client.get("bob")).toBe(record);
    expect(calls).toBe(1);
    expect(socket().watched).toEqual(new Set(["bob"]));
  });

  test("older revisions are dropped, and revision 0 never is", async () => {
    const { time, client, server, socket } = await live();
    server.set("bob", { status: "ONLINE" });
    client.watch(["bob"], () => undefined);
    await time.advance(50);
    const { revision } = client.get("bob") as PresenceRecord;
    const tell = async (record: object) => {
      socket().tell({ type: "presence", cursor: server.cursor, now: server.now(), users: [record] });
      await time.advance(50);
    };
    const record = { userId: "bob", status: "IDLE", since: null, lastSeen: null, lastActive: null };
    await tell({ ...record, revision: revision - 1 });
    expect(client.get("bob")?.status).toBe("ONLINE");
    await tell({ ...record, revision });
    expect(client.get("bob")?.status).toBe("IDLE");
    await tell({ ...record, status: "OFFLINE", revision: 0 });
    expect(client.get("bob")?.status).toBe("OFFLINE");
  });

  test("a snapshot is taken as it is, also at lower revisions than before", async () => {
    const { time, client, server, status } = await live();
    server.set("bob", { status: "ONLINE" });
    client.watch(["bob"], () => undefined);
    await time.advance(50);
    server.restore("IDLE");
    server.restart(false);
    await time.advance(20);
    await time.until(() => status() === "live");
    expect(client.get("bob")?.status).toBe("IDLE");
  });

  test("a watch that another callback has ended is not called any more", async () => {
    const { time, client } = await live();
    let calls = 0;
    const ends: (() => void)[] = [];
    client.watch(["bob"], () => { ends[0]?.(); });
    ends.push(client.watch(["bob"], () => (calls += 1)));
    await time.advance(50);
    expect(calls).toBe(0);
  });

  test("a forgotten user is undefined, and comes back if it connects again", async () => {
    const { time, client, server } = await live();
    server.set("bob", { status: "ONLINE" });
    const calls: Changes[] = [];
    client.watch(["bob"], (changes) => calls.push(changes));
    await time.advance(50);
    server.set("bob", { removed: true, status: "OFFLINE" });
    await time.advance(50);
    expect(calls.at(-1)?.has("bob")).toBe(true);
    expect(client.get("bob")).toBeUndefined();
    server.set("bob", { status: "ONLINE" });
    await time.advance(50);
    expect(client.get("bob")?.status).toBe("ONLINE");
  });

  test("changes of users that nobody watches any more are ignored", async () => {
    const { time, client, server } = await live();
    const end = client.watch(["bob"], () => undefined);
    await time.advance(50);
    server.set("bob", { status: "ONLINE" });
    end();
    await time.advance(50);
    expect(client.get("bob")).toBeUndefined();
  });

  test("what a callback throws is reported and disturbs nobody", async () => {
    const { time, client, env, status } = await live();
    let calls = 0;
    client.watch(["bob"], () => {
      throw new Error("application");
    });
    client.watch(["bob"], () => (calls += 1));
    await time.advance(50);
    expect(calls).toBe(1);
    expect(env.errors.map(String)).toEqual(["Error: application"]);
    expect(status()).toBe("live");
  });

  test("a callback may close the client", async () => {
    const { time, client, server } = await live();
    client.watch(["bob"], () => {
      client.close();
    });
    await time.advance(1000);
    expect(server.connections.size).toBe(0);
    expect(time.timerCount).toBe(0);
  });

  test("watches from before the connection are sent with it", async () => {
    const { time, client, server, status } = setup();
    client.watch(["bob"], () => undefined);
    await time.until(() => status() === "live");
    expect(client.get("bob")?.status).toBe("OFFLINE");
    expect(server.messages("watch").length).toBe(1);
  });

  test("is live only when the snapshots are there", async () => {
    const { time, client, server, status, socket } = await live();
    client.watch(ids(10), () => undefined);
    await time.advance(50);
    server.restart(false);
    await time.advance(20);
    await time.until(() => status() === "live");
    for (const id of ids(10)) expect(client.get(id)).toBeDefined();
    expect(socket().watched.size).toBe(10);
  });

  test("says that the server is behind, and when that is over", async () => {
    const { time, status, socket } = await live();
    socket().tell({ type: "stale", stale: true });
    await time.advance(50);
    expect(status()).toBe("stale");
    socket().tell({ type: "stale", stale: false });
    await time.advance(50);
    expect(status()).toBe("live");
  });
});

describe("resuming", () => {
  test("names the cursor for users whose snapshot was complete, and only for them", async () => {
    const { time, client, server, status, socket } = await live();
    client.watch(["a", "b"], () => undefined);
    await time.advance(50);
    socket().end(1006);
    await time.advance(10);
    client.watch(["c"], () => undefined);
    server.set("b", { status: "ONLINE" });
    await time.until(() => status() === "live");
    const [, resumed, fresh] = server.messages("watch");
    expect(resumed).toMatchObject({ userIds: ["a", "b"], since: "1.0" });
    expect(fresh).toMatchObject({ userIds: ["c"] });
    expect(fresh).not.toHaveProperty("since");
    expect(client.get("b")?.status).toBe("ONLINE");
    expect(client.get("c")).toBeDefined();
  });

  test("a snapshot that was cut is asked for anew, and its cursor is not used", async () => {
    const { time, client, server, status, socket } = await live();
    let isCut = false;
    client.watch(ids(7), () => {
      if (!isCut) socket().end(1006);
      isCut = true;
    });
    await time.advance(50);
    await time.until(() => status() === "live");
    expect(server.messages("watch").length).toBe(2);
    expect(server.messages("watch")[1]).not.toHaveProperty("since");
  });

  test("all parts of a long list name the same cursor", async () => {
    const { time, client, server, status } = await live();
    server.latencyMs = 40;
    client.watch(ids(300, 128), () => undefined);
    await time.advance(5000);
    const before = server.messages("watch").length;
    server.restart(true);
    await time.until(() => server.connections.size === 0);
    await time.until(() => server.connections.size > 0);
    for (let turn = 0; turn < 20; turn += 1) {
      server.set("u1".padEnd(128, "x"), { status: turn % 2 ? "ONLINE" : "IDLE" });
      await time.advance(10);
    }
    await time.until(() => status() === "live");
    const resumed = server.messages("watch").slice(before);
    expect(resumed.length).toBe(4);
    expect(new Set(resumed.map(({ since }) => since))).toEqual(new Set(["1.0"]));
  });

  test("a user that was unwatched while disconnected is asked for anew", async () => {
    const { time, client, server, status, socket } = await live();
    const end = client.watch(["bob"], () => undefined);
    await time.advance(50);
    socket().end(1006);
    await time.advance(10);
    end();
    await time.advance(10);
    client.watch(["bob"], () => undefined);
    await time.until(() => status() === "live");
    expect(server.messages("watch")[1]).not.toHaveProperty("since");
    expect(client.get("bob")).toBeDefined();
  });

  test("a connection that is lost before its first cursor does not void the cursor before it", async () => {
    const { time, client, server, status, socket } = await live();
    client.watch(ids(7), () => undefined);
    await time.advance(50);
    socket().end(1006);
    await time.until(() => server.connections.size > 0);
    socket().end(1006);
    await time.until(() => status() === "live");
    expect(server.messages("watch").at(-1)?.since).toBe("1.0");
  });
});

describe("limits", () => {
  test("no message is longer than 16 KiB, whatever the ids are", async () => {
    const { time, client, server, status } = await live();
    client.watch(Array.from({ length: 400 }, (_, index) => `${index}`.padEnd(5, "-") + "€\"\\".repeat(20)), () => undefined);
    await time.advance(30_000);
    expect(status()).toBe("live");
    expect(server.messages("watch").flatMap(({ userIds }) => userIds).length).toBe(400);
  });

  test("watches that change in each frame stay below the limit of messages", async () => {
    const { time, client, server, status, states } = await live();
    let end = client.watch(["u"], () => undefined);
    for (let frame = 0; frame < 1200; frame += 1) {
      end();
      end = client.watch([`u${frame}`], () => undefined);
      await time.advance(16);
    }
    await time.advance(10_000);
    expect(status()).toBe("live");
    expect(states).toEqual(["live"]);
    expect([...server.connections][0]?.watched).toEqual(new Set(["u1199"]));
  });

  test("users beyond the limit wait, and are watched when there is room", async () => {
    const { time, client, server, errors } = await live();
    const all = ids(5010);
    const end = client.watch(all.slice(0, 20), () => undefined);
    await time.advance(50);
    client.watch(all.slice(20), () => undefined);
    await time.advance(60_000);
    expect([...server.connections][0]?.watched.size).toBe(5000);
    expect(client.get(all.at(-1) ?? "")).toBeUndefined();
    end();
    await time.advance(5000);
    expect([...server.connections][0]?.watched.size).toBe(4990);
    expect(client.get(all.at(-1) ?? "")).toBeDefined();
    expect(errors).toEqual([]);
  });

  test("a lower limit of the server is learnt and reported", async () => {
    const { time, client, server, errors, status } = await live();
    server.watchedMax = 3;
    const end = client.watch(["a", "b"], () => undefined);
    await time.advance(50);
    client.watch(["c", "d"], () => undefined);
    await time.advance(120_000);
    expect(errors.map(({ code }) => code)).toEqual(["too_many_watched"]);
    expect(status()).toBe("live");
    end();
    await time.advance(10_000);
    expect(client.get("d")).toBeDefined();
  });

  test("a refused watch is repeated after the server's delay", async () => {
    const { time, client, server, errors } = await live();
    server.refusals.push({ type: "watch", code: "rate_limited", retryAfterMs: 3000 });
    client.watch(["bob"], () => undefined);
    await time.advance(2900);
    expect(server.messages("watch").length).toBe(1);
    await time.advance(200);
    expect(client.get("bob")).toBeDefined();
    expect(errors.map(({ code }) => code)).toEqual(["rate_limited"]);
  });

  test("an id that the server rejects is not sent again on this connection", async () => {
    const { time, client, server, status } = await live();
    server.refusals.push({ type: "watch", code: "invalid_user_id" });
    client.watch(["bob"], () => undefined);
    await time.advance(60_000);
    expect(server.messages("watch").length).toBe(1);
    expect(status()).toBe("live");
  });
});
