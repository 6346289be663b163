import { describe, expect, test } from "vitest";
import type { Environment } from "../src/environment.ts";
import { PresenceError } from "../src/index.ts";
import type { FakeServer } from "./fake/server.ts";
import { live, setup } from "./harness.ts";

/** What a promise came to, without waiting for it. */
function outcome(promise: Promise<unknown>): { value: string } {
  const result = { value: "pending" };
  promise.then(
    () => (result.value = "done"),
    (error: unknown) => (result.value = error instanceof PresenceError ? error.code : String(error)),
  );
  return result;
}

type Fetch = NonNullable<Environment["fetch"]>;

describe("over the connection", () => {
  test("is shown at once and confirmed by the record", async () => {
    const { time, client, server } = await live();
    server.set("me", { status: "ONLINE" });
    await time.advance(20);
    const result = outcome(client.updateCustomStatus("DO_NOT_DISTURB"));
    expect(client.own.getSnapshot()).toMatchObject({ customStatus: "DO_NOT_DISTURB", status: "DO_NOT_DISTURB", isPending: true });
    await time.advance(100);
    expect(result.value).toBe("done");
    expect(client.own.getSnapshot()).toMatchObject({ customStatus: "DO_NOT_DISTURB", isPending: false });
    expect(client.own.getSnapshot().record?.customStatus).toBe("DO_NOT_DISTURB");
  });

  test("is taken back if the server does not take it", async () => {
    const { time, client, server } = await live();
    server.refusals.push({ type: "setStatus", code: "store_unavailable" });
    const result = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(100);
    expect(result.value).toBe("store_unavailable");
    expect(client.own.getSnapshot()).toMatchObject({ customStatus: "ONLINE", isPending: false });
  });

  test("waits for the rate limit", async () => {
    const { time, client, server } = await live();
    server.refusals.push({ type: "setStatus", code: "rate_limited", retryAfterMs: 4200 });
    const result = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(4100);
    expect([result.value, client.own.getSnapshot().isPending]).toEqual(["pending", true]);
    await time.advance(300);
    expect(result.value).toBe("done");
  });

  test("the newest of several custom statuses is the last one that the server hears", async () => {
    const { time, client, server } = await live();
    server.refusals.push({ type: "setStatus", code: "rate_limited", retryAfterMs: 1000 });
    const first = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(500);
    const second = outcome(client.updateCustomStatus("DO_NOT_DISTURB"));
    const third = outcome(client.updateCustomStatus("IDLE"));
    const fourth = outcome(client.updateCustomStatus("ONLINE"));
    expect(client.own.getSnapshot().customStatus).toBe("ONLINE");
    await time.advance(3000);
    expect(server.messages("setStatus").at(-1)?.customStatus).toBe("ONLINE");
    expect([first, second, third, fourth].map(({ value }) => value)).toEqual(["done", "done", "done", "done"]);
    expect(server.ownRecord("me").customStatus).toBe("ONLINE");
    expect(client.own.getSnapshot()).toMatchObject({ customStatus: "ONLINE", isPending: false });
  });

  test("a custom status that follows while another one is under way is sent after it", async () => {
    const { time, client, server } = await live();
    server.setStatusDelayMs = 500;
    const first = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(100);
    const second = outcome(client.updateCustomStatus("DO_NOT_DISTURB"));
    await time.advance(2000);
    expect([first.value, second.value]).toEqual(["done", "done"]);
    expect(server.messages("setStatus").map(({ customStatus }) => customStatus)).toEqual(["IDLE", "DO_NOT_DISTURB"]);
  });

  test("a change from another device is shown, but not over one that is pending", async () => {
    const { time, client, server } = await live();
    server.set("me", { customStatus: "IDLE" });
    await time.advance(50);
    expect(client.own.getSnapshot().customStatus).toBe("IDLE");
    server.setStatusDelayMs = 500;
    void client.updateCustomStatus("DO_NOT_DISTURB");
    server.set("me", { customStatus: "ONLINE" });
    await time.advance(100);
    expect(client.own.getSnapshot().customStatus).toBe("DO_NOT_DISTURB");
    await time.advance(1000);
    expect(client.own.getSnapshot()).toMatchObject({ customStatus: "DO_NOT_DISTURB", isPending: false });
  });

  test("an answer that is lost with the connection is asked for again on the next one", async () => {
    const { time, client, server, socket } = await live();
    server.setStatusDelayMs = 500;
    const result = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(100);
    socket().end(1006);
    await time.advance(3000);
    expect(result.value).toBe("done");
    expect(server.messages("setStatus").length).toBe(2);
  });

  /** A custom status is sent, and the connection ends before the answer; others then change the user as given. */
  async function unanswered(change: (server: FakeServer) => void, isApplied = false) {
    const setup = await live();
    const { time, client, server, socket } = setup;
    server.set("me", { status: "ONLINE" });
    await time.advance(50);
    server.setStatusDelayMs = isApplied ? 20 : 500;
    const result = client.updateCustomStatus("IDLE");
    await time.advance(20);
    server.isUnreachable = true;
    await time.advance(20);
    socket().end(1006);
    server.isUnreachable = false;
    change(server);
    await time.advance(3000);
    return { ...setup, result: await result, sent: server.messages("setStatus").length };
  }

  test("an answer that is lost is not asked for again if another device has set a custom status since", async () => {
    const { client, result, sent } = await unanswered((server) => {
      server.set("me", { customStatus: "DO_NOT_DISTURB" });
    });
    expect([sent, result.customStatus]).toEqual([1, "DO_NOT_DISTURB"]);
    expect(client.own.getSnapshot()).toMatchObject({ customStatus: "DO_NOT_DISTURB", isPending: false });
  });

  test("an answer that is lost is not asked for again if the custom status was applied", async () => {
    const { result, sent } = await unanswered(() => undefined, true);
    expect([sent, result.customStatus]).toEqual([1, "IDLE"]);
  });

  test("an answer that is lost is asked for again after an absence that others saw", async () => {
    const { result, sent } = await unanswered((server) => {
      server.set("me", { status: "OFFLINE" });
      server.set("me", { status: "ONLINE" });
    });
    expect([sent, result.customStatus]).toEqual([2, "IDLE"]);
  });

  test("a restart that raises revisions does not keep a custom status from being sent again", async () => {
    const { result, sent } = await unanswered((server) => {
      server.restart(false);
      server.set("me", {});
    });
    expect([sent, result.customStatus]).toEqual([2, "IDLE"]);
  });

  test("what was sent and not answered is not sent by REST, which tells nothing of the record before", async () => {
    const calls: string[] = [];
    const setup = await live();
    Object.assign(setup.env, { fetch: (url: string) => (calls.push(url), Promise.reject(new TypeError("network"))) });
    setup.server.setStatusDelayMs = 500;
    const result = outcome(setup.client.updateCustomStatus("IDLE"));
    await setup.time.advance(100);
    setup.server.isDown = true;
    setup.socket().end(1006);
    await setup.time.advance(20_000);
    expect(calls).toEqual([]);
    await setup.time.advance(12_000);
    expect(result.value).toBe("disconnected");
  });

  test("a custom status set during a restart of the server waits for it", async () => {
    const { time, client, server } = await live();
    server.restart(true, 10_000);
    await time.advance(100);
    const result = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(9000);
    expect(result.value).toBe("pending");
    await time.advance(1500);
    expect(result.value).toBe("done");
  });

  test("is given up after 30 s without a connection, and taken back", async () => {
    const { time, client, server } = await live();
    server.isDown = true;
    server.restart(false);
    await time.advance(100);
    const result = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(24_000);
    expect(result.value).toBe("pending");
    await time.advance(8000);
    expect(result.value).toBe("disconnected");
    expect(client.own.getSnapshot()).toMatchObject({ customStatus: "ONLINE", isPending: false });
  });

  test("closing the client rejects what waits and what comes later", async () => {
    const { time, client, server } = await live();
    server.setStatusDelayMs = 500;
    const first = outcome(client.updateCustomStatus("IDLE"));
    client.close();
    const second = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(100);
    expect([first.value, second.value]).toEqual(["stopped", "stopped"]);
  });

  test("counts as an input of the user", async () => {
    const { time, client, server } = await live();
    await time.advance(301_000);
    expect(server.messages("activity").at(-1)).toMatchObject({ type: "activity", idle: true });
    void client.updateCustomStatus("ONLINE");
    await time.advance(100);
    expect(server.messages("activity").at(-1)).toEqual({ type: "activity", idle: false, agoMs: 0 });
  });
});

describe("by REST, without a connection", () => {
  async function offline(respond: () => Promise<Response>) {
    const calls: [string, RequestInit][] = [];
    const started = setup();
    started.server.isDown = true;
    Object.assign(started.env, {
      fetch: ((url: string, init: RequestInit) => {
        calls.push([url, init]);
        return respond();
      }) as Fetch,
    });
    await started.time.advance(100);
    return { ...started, calls };
  }
  const problem = (status: number, code: string, headers = {}) =>
    Promise.resolve(new Response(JSON.stringify({ code, detail: "" }), { status, headers }));

  test("puts the status with the token, and takes the record", async () => {
    const record = { userId: "me", status: "OFFLINE", revision: 5, customStatus: "IDLE", sessions: 0 };
    const { time, client, calls } = await offline(() => Promise.resolve(Response.json({ now: "2026-11-29T12:00:00.000Z", ...record })));
    const result = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(100);
    expect(result.value).toBe("done");
    expect(calls[0]?.[0]).toBe("http://server/api/user/custom-status");
    expect(calls[0]?.[1]).toMatchObject({ method: "PUT", body: '{"customStatus":"IDLE"}', headers: { authorization: "Bearer me" } });
    expect(client.own.getSnapshot().record).toEqual(record);
  });

  test("waits for a rate limit, and repeats what the server could not take now", async () => {
    const answers = [problem(429, "rate_limited", { "retry-after": "2" }), problem(503, "draining"), Promise.reject(new TypeError("network"))];
    const { time, client, calls } = await offline(() => answers.shift() ?? Promise.resolve(Response.json({ revision: 1 })));
    const result = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(1900);
    expect(calls.length).toBe(1);
    await time.advance(12_000);
    expect(calls.length).toBe(4);
    expect(result.value).toBe("done");
  });

  test.each([[503, "store_unavailable"], [403, "forbidden"], [500, "internal"]])("%i %s is final", async (status, code) => {
    const { time, client } = await offline(() => problem(status, code));
    const result = outcome(client.updateCustomStatus("IDLE"));
    await time.advance(100);
    expect(result.value).toBe(code);
  });
});
