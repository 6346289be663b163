import { describe, expect, test } from "vitest";
import { live, setup } from "./harness.ts";

describe("connecting", () => {
  test("sends the token as a subprotocol and becomes live", async () => {
    const { server, states } = await live();
    expect(server.handshakes).toEqual(["me"]);
    expect(states).toEqual(["live"]);
  });

  test("an invalid URL is thrown at once", () => {
    expect(() => setup({ url: "not a url" })).toThrow(TypeError);
  });

  test("a refused handshake is repeated with growing delays", async () => {
    const { server, time, status } = setup();
    server.isDown = true;
    await time.advance(60_000);
    expect(status()).toBe("waiting");
    // Half of 1, 2, 4, 8, 16 and 30 s: the jitter of this test is one half.
    expect(server.handshakes.length).toBe(8);
    server.isDown = false;
    await time.until(() => status() === "live");
  });

  test("jitter spreads attempts from zero to the whole delay", async () => {
    for (const [chance, withinMs] of [[0, 20], [0.999, 1010]] as const) {
      const { server, time, env, socket } = await live();
      env.chance = chance;
      socket().end(1006);
      await time.advance(withinMs - 15);
      if (chance > 0) expect(server.handshakes.length).toBe(1);
      await time.advance(15);
      expect(server.handshakes.length).toBe(2);
    }
  });

  test("a token that can't be fetched is asked for again and reported", async () => {
    let calls = 0;
    const getToken = () => (++calls < 3 ? Promise.reject(new Error("offline")) : Promise.resolve("me"));
    const { time, status, errors } = setup({ getToken });
    await time.until(() => status() === "live");
    expect(calls).toBe(3);
    expect(errors.map(({ code }) => code)).toEqual(["token_failed", "token_failed"]);
  });

  test("no token means signed out: it stops", async () => {
    const { time, client, server } = setup({ getToken: () => null });
    await time.advance(100_000);
    expect(client.connection.getSnapshot()).toEqual({ status: "stopped", reason: "signed_out" });
    expect(server.handshakes).toEqual([]);
  });

  test("a token that never comes, and a handshake that is never answered, are given up", async () => {
    let calls = 0;
    const { time, status, server } = setup({ getToken: () => (++calls === 1 ? new Promise<string>(() => undefined) : "me") });
    server.isUnreachable = true;
    await time.advance(21_000);
    expect(calls).toBe(2);
    server.isUnreachable = false;
    await time.until(() => status() === "live");
    expect(server.connections.size).toBe(1);
  });

  test("a token of another user stops the client", async () => {
    const users = ["me", "somebody-else"];
    const { time, client, socket } = await live({ getToken: () => users.shift() });
    socket().goodbye(4001, "expired", 0);
    await time.advance(5000);
    expect(client.connection.getSnapshot()).toEqual({ status: "stopped", reason: "user_changed" });
  });

  test("a frame that is no message is reported and ends the connection", async () => {
    const { time, status, errors, socket, server } = await live();
    socket().onmessage?.({ data: "{" } as never);
    expect(errors.map(({ code }) => code)).toEqual(["invalid_message"]);
    await time.until(() => server.handshakes.length === 2 && status() === "live");
  });
});

describe("close codes", () => {
  test.each([
    [4003, "kicked"],
    [4008, "abusive"],
    [4010, "forgotten"],
    [1009, "message_too_long"],
  ])("%i is final", async (code, reason) => {
    const { time, client, server, socket } = await live();
    socket().goodbye(code, reason);
    await time.advance(200_000);
    expect(client.connection.getSnapshot()).toEqual({ status: "stopped", reason });
    expect(server.handshakes.length).toBe(1);
    expect(time.timerCount).toBe(0);
  });

  test.each([1002, 1007, 4003])("%i is final without a goodbye too", async (code) => {
    const { time, client, socket } = await live();
    socket().end(code);
    await time.advance(10);
    expect(client.connection.getSnapshot()).toEqual({ status: "stopped", reason: `close_code_${code}` });
  });

  test("a goodbye without a delay is final whatever its code is", async () => {
    const { time, status, socket } = await live();
    socket().goodbye(4999, "new_reason");
    await time.advance(100_000);
    expect(status()).toBe("stopped");
  });

  test.each([
    [1012, 3210],
    [1011, 5000],
    [4009, 5000],
    [4029, 30_000],
  ])("%i waits for exactly the server's delay, whatever the page does", async (code, delayMs) => {
    const { time, server, env, socket } = await live();
    await time.advance(10_000);
    const closedAt = time.now();
    socket().goodbye(code, "any", delayMs);
    await time.advance(200);
    env.window.dispatch("online");
    env.document.dispatch("visibilitychange");
    await time.until(() => server.handshakes.length === 2);
    expect(time.now() - closedAt).toBeGreaterThanOrEqual(delayMs);
    expect(time.now() - closedAt).toBeLessThan(delayMs + 30);
  });

  test("4001 takes a new token and connects at once, without a timer that a background tab would delay", async () => {
    const tokens: string[] = [];
    const { time, server, socket, status } = await live({ getToken: () => (tokens.push("me"), "me") });
    await time.advance(5000);
    time.throttleMs = 60_000;
    socket().goodbye(4001, "expired", 0);
    await time.advance(50);
    expect(status()).toBe("live");
    expect(tokens.length).toBe(2);
    expect(server.handshakes.length).toBe(2);
  });

  test("tokens that expire at once are not asked for in a tight loop", async () => {
    const { time, server, env } = setup();
    env.chance = 0.5;
    for (let step = 0; step < 6000; step += 1) {
      for (const connection of server.connections) connection.goodbye(4001, "expired", 0);
      await time.advance(10);
    }
    expect(server.handshakes.length).toBeLessThan(10);
  });

  test("a long connection ends a series of failures", async () => {
    const { time, server, status, env, socket } = await live();
    server.isDown = true;
    socket().end(1006);
    await time.advance(60_000);
    server.isDown = false;
    await time.until(() => status() === "live");
    await time.advance(15_000);
    env.chance = 0.999;
    const before = server.handshakes.length;
    socket().end(1006);
    await time.advance(1100);
    expect(server.handshakes.length).toBe(before + 1);
  });

  test("tokens that expire are no failures: the next loss is followed by an attempt within a second", async () => {
    const { time, server, status, env, socket } = await live();
    for (let times = 0; times < 12; times += 1) {
      await time.advance(5000);
      socket().goodbye(4001, "expired", 0);
      await time.advance(50);
      await time.until(() => status() === "live");
    }
    env.chance = 0.999;
    const before = server.handshakes.length;
    socket().end(1006);
    await time.advance(1100);
    expect(server.handshakes.length).toBe(before + 1);
  });
});

describe("half-open connections", () => {
  test("a quiet connection is asked, and given up if it does not answer", async () => {
    const { time, server, states, status } = await live();
    await time.advance(24_000);
    expect(server.messages("ping").length).toBe(0);
    await time.advance(60_000);
    expect(server.messages("ping").length).toBe(3);
    expect(status()).toBe("live");
    server.isUnreachable = true;
    await time.until(() => status() === "waiting", 36_000);
    server.isUnreachable = false;
    await time.until(() => status() === "live");
    expect(states.filter((state) => state === "waiting").length).toBe(1);
  });

  test("frames of the server make asking unnecessary", async () => {
    const { time, server, client } = await live();
    client.watch(["bob"], () => undefined);
    for (let second = 0; second < 60; second += 1) {
      await time.advance(1000);
      server.set("bob", { status: second % 2 ? "IDLE" : "ONLINE" });
    }
    expect(server.messages("ping").length).toBe(0);
  });

  test("a page that was stopped while an answer was under way waits for it", async () => {
    const { time, server, states } = await live();
    server.latencyMs = 50;
    await time.until(() => server.messages("ping").length === 1, 30_000);
    time.sleep(15_000);
    await time.advance(30_000);
    expect(states).toEqual(["live"]);
  });

  test("what an abandoned socket still says is ignored", async () => {
    const { time, server, client, socket, status } = await live();
    const old = socket();
    server.isUnreachable = true;
    await time.until(() => status() === "waiting", 40_000);
    const { record } = client.own.getSnapshot();
    const user = { ...server.ownRecord("me"), revision: 9999, status: "IDLE" };
    old.onmessage?.({ data: JSON.stringify({ type: "welcome", sessionId: "old", user, now: server.now(), pingSeconds: 25 }) } as never);
    old.onclose?.({ code: 4003 } as never);
    expect(status()).toBe("waiting");
    expect(client.own.getSnapshot().record).toBe(record);
  });

  test("the abandoned socket is closed with 3000, which signs nobody out", async () => {
    const { time, server, socket, status } = await live();
    const old = socket();
    server.isUnreachable = true;
    await time.until(() => status() === "waiting", 40_000);
    expect(old.closedWith).toBe(3000);
  });

  test("timers throttled to one a minute cause no disconnect", async () => {
    const { time, server, states } = await live();
    time.throttleMs = 60_000;
    await time.advance(3_600_000);
    expect(states).toEqual(["live"]);
    expect(server.handshakes.length).toBe(1);
  });

  test("a dead connection is found by throttled timers too", async () => {
    const { time, server, status } = await live();
    time.throttleMs = 60_000;
    server.isUnreachable = true;
    await time.advance(300_000);
    expect(status()).not.toBe("live");
  });

  test("a page that did not run for a while is not blamed on the network", async () => {
    const { time, states } = await live();
    for (let times = 0; times < 10; times += 1) {
      await time.advance(times === 0 ? 24_997 : 20_000);
      time.sleep(15_000);
      await time.advance(5000);
    }
    expect(states).toEqual(["live"]);
  });

  test.each(["online", "offline", "focus"])("%s asks at once, and has its answer within 4 s", async (event) => {
    const { time, server, env, status } = await live();
    await time.advance(5000);
    env.window.dispatch(event);
    await time.advance(20);
    expect(server.messages("ping").length).toBe(1);
    server.isUnreachable = true;
    await time.advance(5000);
    env.window.dispatch(event);
    await time.advance(4100);
    expect(status()).not.toBe("live");
  });

  test("a storm of visibility changes neither floods the server nor hides a dead connection", async () => {
    const { time, server, env, status } = await live();
    for (let turn = 0; turn < 1000; turn += 1) {
      env.document.dispatch("visibilitychange");
      await time.advance(10);
    }
    expect(server.received.length).toBeLessThan(12);
    server.isUnreachable = true;
    for (let turn = 0; turn < 1000; turn += 1) {
      env.document.dispatch("visibilitychange");
      await time.advance(10);
    }
    expect(status()).not.toBe("live");
  });

  test("a visible page does not wait for a long backoff", async () => {
    const { time, server, env, status, socket } = await live();
    server.isDown = true;
    env.chance = 0.9;
    socket().end(1006);
    await time.advance(80_000);
    server.isDown = false;
    env.document.dispatch("visibilitychange");
    await time.advance(400);
    expect(status()).toBe("live");
  });
});

describe("pages that are left", () => {
  test("the back/forward cache closes with 3000 and connects when the page is back", async () => {
    const { time, server, env, socket, status, states } = await live();
    const first = socket();
    env.window.dispatch("pagehide", { persisted: true });
    expect(first.closedWith).toBe(3000);
    await time.advance(60_000);
    expect(server.handshakes.length).toBe(1);
    env.window.dispatch("pageshow", { persisted: true });
    await time.advance(50);
    expect(status()).toBe("live");
    expect(server.messages("resume")).toEqual([{ type: "resume", sessionId: first.sessionId }]);
    expect(states.at(-1)).toBe("live");
  });

  test("a page that is closed leaves its socket to the browser", async () => {
    const { env, socket } = await live();
    const first = socket();
    env.window.dispatch("pagehide", { persisted: false });
    expect(first.closedWith).toBeUndefined();
  });

  test("a frozen page stays connected and asks when it is thawed", async () => {
    const { time, server, env, states } = await live();
    env.document.dispatch("freeze");
    time.sleep(20_000);
    env.document.dispatch("resume");
    await time.advance(100);
    expect(server.messages("ping").length).toBe(1);
    expect(states).toEqual(["live"]);
  });
});

describe("closing", () => {
  test("signs out with 1000 and leaves no timer or listener", async () => {
    const { time, client, env, socket } = await live();
    const first = socket();
    client.close();
    expect(first.closedWith).toBe(1000);
    expect(client.connection.getSnapshot()).toEqual({ status: "stopped", reason: "closed" });
    await time.advance(100);
    expect(time.timerCount).toBe(0);
    expect(env.document.listenerCount + env.window.listenerCount).toBe(0);
  });

  test("while it connects ends the attempt", async () => {
    const { time, client, server } = setup();
    client.close();
    await time.advance(10_000);
    expect(server.handshakes).toEqual([]);
  });

  test("continues the lost session with its first message", async () => {
    const { time, server, socket, status } = await live();
    const { sessionId } = socket();
    socket().end(1006);
    await time.until(() => server.handshakes.length === 2 && status() === "live");
    const after = server.received.map(({ message }) => message).slice(server.received.findIndex(({ message }) => message.type === "resume"));
    expect(after[0]).toEqual({ type: "resume", sessionId });
  });
});
