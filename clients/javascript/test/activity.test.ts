import { describe, expect, test } from "vitest";
import { FakeServer } from "./fake/server.ts";
import { pageEnvironment } from "./fake/environment.ts";
import { FakeTime } from "./fake/time.ts";
import { live, type Setup } from "./harness.ts";

const IDLE_AFTER_MS = 300_000;

/** What was reported, as `active` or `idle`. */
const reports = ({ server }: Setup) => server.messages("activity").map(({ idle }) => (idle ? "idle" : "active"));
/** When the inputs were that were reported, to the second. */
const inputs = ({ server }: Setup) =>
  server.received.flatMap(({ message, at }) => (message.type === "activity" ? [Math.round((at - message.agoMs) / 1000)] : []));

async function reconnect(setup: Setup): Promise<void> {
  const { time, server, socket, status } = setup;
  socket().goodbye(4001, "expired", 0);
  await time.until(() => server.connections.size === 0);
  await time.advance(20);
  await time.until(() => status() === "live");
  await time.advance(20);
}

describe("activity", () => {
  test("opening a visible page is activity", async () => {
    const setup = await live();
    await setup.time.advance(20);
    expect(reports(setup)).toEqual(["active"]);
  });

  test("a page opened in the background is idle until it is seen", async () => {
    const time = new FakeTime();
    const server = new FakeServer(time);
    const env = pageEnvironment(time, server);
    env.document.visibilityState = "hidden";
    const setup = await live({ server, env });
    await time.advance(20);
    expect(reports(setup)).toEqual(["idle"]);
    env.document.visibilityState = "visible";
    env.document.dispatch("visibilitychange");
    await time.advance(20);
    expect(reports(setup)).toEqual(["idle", "active"]);
  });

  test("inputs are reported every 30 s at most", async () => {
    const setup = await live();
    for (let moves = 0; moves < 3000; moves += 1) {
      setup.env.document.dispatch("pointermove");
      await setup.time.advance(50);
    }
    const times = setup.server.received.filter(({ message }) => message.type === "activity").map(({ at }) => at);
    expect(times.length).toBe(5);
    for (const [index, at] of times.entries()) if (index > 0) expect(at - (times[index - 1] ?? 0)).toBeGreaterThanOrEqual(30_000);
  });

  test("an untouched visible page is idle after the time, counted from the last input", async () => {
    const setup = await live();
    await setup.time.advance(17_000);
    setup.env.document.dispatch("keydown");
    await setup.time.advance(IDLE_AFTER_MS - 50);
    expect(reports(setup)).toEqual(["active", "active"]);
    await setup.time.advance(100);
    expect(reports(setup)).toEqual(["active", "active", "idle"]);
    await setup.time.advance(IDLE_AFTER_MS * 3);
    expect(reports(setup)).toEqual(["active", "active", "idle"]);
    const [opened = 0, ...later] = inputs(setup);
    expect(later).toEqual([opened + 17, opened + 17]);
    setup.env.document.dispatch("keydown");
    await setup.time.advance(20);
    expect(reports(setup)).toEqual(["active", "active", "idle", "active"]);
  });

  test("is idle in time although tokens expire every 5 s, and no reconnect is activity", async () => {
    const setup = await live();
    for (let second = 0; second < 400; second += 5) {
      await setup.time.advance(4900);
      await reconnect(setup);
    }
    const made = setup.server.received.filter(({ message }) => message.type === "activity");
    expect(new Set(inputs(setup)).size).toBe(1);
    const idleAt = made.find(({ message }) => message.type === "activity" && message.idle)?.at ?? 0;
    expect(idleAt - 1000).toBeGreaterThanOrEqual(IDLE_AFTER_MS);
    expect(idleAt - 1000).toBeLessThan(IDLE_AFTER_MS + 50);
  });

  test("who is away says so at once after each reconnect", async () => {
    const setup = await live();
    await setup.time.advance(IDLE_AFTER_MS + 100);
    for (let times = 0; times < 3; times += 1) await reconnect(setup);
    expect(reports(setup)).toEqual(["active", "idle", "idle", "idle", "idle"]);
    const types = setup.server.received.map(({ message }) => message.type);
    expect(types.slice(-2)).toEqual(["resume", "activity"]);
  });

  test("an input while disconnected is reported after the reconnect, with its time", async () => {
    for (const waitMs of [10_000, 40_000]) {
      const setup = await live();
      await setup.time.advance(60_000);
      setup.server.isDown = true;
      setup.socket().end(1006);
      await setup.time.advance(100);
      setup.env.document.dispatch("keydown");
      await setup.time.advance(waitMs);
      setup.server.isDown = false;
      await setup.time.until(() => setup.status() === "live");
      expect(reports(setup)).toEqual(["active", "active"]);
      const [opened = 0, pressed] = inputs(setup);
      expect(pressed).toBe(opened + 60);
    }
  });

  test("a reconnect tells at once how long ago the last input was", async () => {
    const setup = await live();
    await setup.time.advance(100_000);
    await reconnect(setup);
    expect(reports(setup)).toEqual(["active", "active"]);
    const [opened, told] = inputs(setup);
    expect(told).toBe(opened);
  });

  describe("a clock that stands still while the computer sleeps", () => {
    const HOURS_MS = 3_600_000;

    /** Sleeps for eight hours, long enough for the server to lose the connection. */
    async function sleep({ time, env, socket }: Setup): Promise<void> {
      await time.advance(100_000);
      time.sleep(8 * HOURS_MS);
      env.stoodStillMs += 8 * HOURS_MS;
      socket().end(1006);
    }

    test("does not make an input before it one of now", async () => {
      const setup = await live();
      await sleep(setup);
      await setup.time.until(() => setup.server.handshakes.length === 2 && setup.status() === "live");
      expect(reports(setup)).toEqual(["active", "idle"]);
      const [opened, told] = inputs(setup);
      expect(told).toBe(opened);
    });

    test("does not make an input after it one of long ago", async () => {
      const setup = await live();
      await sleep(setup);
      setup.env.document.dispatch("keydown");
      const pressed = Math.round(setup.time.now() / 1000);
      await setup.time.until(() => setup.server.handshakes.length === 2 && setup.status() === "live");
      expect(reports(setup)).toEqual(["active", "active"]);
      expect(inputs(setup)[1]).toBe(pressed);
    });

    test("is corrected again after a second sleep", async () => {
      const setup = await live();
      for (let times = 1; times <= 2; times += 1) {
        await sleep(setup);
        await setup.time.until(() => setup.server.handshakes.length === times + 1 && setup.status() === "live");
      }
      const [opened, ...told] = inputs(setup);
      expect(told).toEqual([opened, opened]);
    });
  });

  test("a step of either clock does not move an input", async () => {
    for (const [wallMs, serverMs] of [[7_200_000, 0], [0, 7_200_000], [-7_200_000, 7_200_000], [-7_200_000, -7_200_000]] as const) {
      const setup = await live();
      await setup.time.advance(50_000);
      setup.env.wallOffsetMs += wallMs;
      setup.server.clockOffsetMs += serverMs;
      await reconnect(setup);
      const [opened, told] = inputs(setup);
      expect(told).toBe(opened);
    }
  });

  test("an input soon after a report is reported when the interval is over, with its time", async () => {
    const setup = await live();
    await setup.time.advance(4000);
    setup.env.document.dispatch("keydown");
    await setup.time.advance(25_500);
    expect(reports(setup)).toEqual(["active"]);
    await setup.time.advance(1000);
    expect(reports(setup)).toEqual(["active", "active"]);
    const [opened = 0, pressed] = inputs(setup);
    expect(pressed).toBe(opened + 4);
    await setup.time.advance(60_000);
    expect(reports(setup)).toEqual(["active", "active"]);
  });

  test("a custom status IDLE is not taken for idleness", async () => {
    const setup = await live();
    await setup.time.advance(100_000);
    await reconnect(setup);
    setup.server.set("me", { status: "IDLE", customStatus: "IDLE" });
    await setup.time.advance(50);
    setup.env.document.dispatch("keydown"); // reported at once if the user had been taken for idle
    await setup.time.advance(50);
    expect(reports(setup)).toEqual(["active", "active"]);
  });

  test("a server that calls the user idle earlier is believed until the next input", async () => {
    const setup = await live();
    await setup.time.advance(60_000);
    setup.server.set("me", { status: "IDLE" });
    await setup.time.advance(50);
    await reconnect(setup);
    expect(reports(setup)).toEqual(["active", "idle"]);
    setup.env.document.dispatch("keydown");
    await setup.time.advance(50);
    expect(reports(setup)).toEqual(["active", "idle", "active"]);
  });

  test("a storm of visibility changes is one report", async () => {
    const setup = await live();
    for (let turn = 0; turn < 500; turn += 1) {
      setup.env.document.visibilityState = turn % 2 ? "visible" : "hidden";
      setup.env.document.dispatch("visibilitychange");
      await setup.time.advance(20);
    }
    expect(reports(setup)).toEqual(["active"]);
  });

  test("hiding the page is no input", async () => {
    const setup = await live();
    await setup.time.advance(200_000);
    setup.env.document.visibilityState = "hidden";
    setup.env.document.dispatch("visibilitychange");
    await setup.time.advance(100_500);
    expect(reports(setup)).toEqual(["active", "idle"]);
  });

  test("throttled timers make the user idle a minute late at most", async () => {
    const setup = await live();
    setup.time.throttleMs = 60_000;
    await setup.time.advance(IDLE_AFTER_MS + 61_000);
    expect(reports(setup)).toEqual(["active", "idle"]);
  });

  test("outside of a page nothing is reported unless the application says so", async () => {
    const setup = await live({ isNode: true });
    await setup.time.advance(IDLE_AFTER_MS * 2);
    expect(reports(setup)).toEqual([]);
    setup.client.reportActivity();
    await setup.time.advance(IDLE_AFTER_MS + 100);
    expect(reports(setup)).toEqual(["active", "idle"]);
  });

  test("idleness can be switched off", async () => {
    const setup = await live({ idleAfterMs: Infinity });
    await setup.time.advance(IDLE_AFTER_MS * 10);
    expect(reports(setup)).toEqual(["active"]);
  });
});
