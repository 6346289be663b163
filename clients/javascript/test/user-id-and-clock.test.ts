import { describe, expect, test } from "vitest";
import { isUserId, type PresenceRecord } from "../src/index.ts";
import { live, setup } from "./harness.ts";

describe("user ids", () => {
  test.each(["a", "€".repeat(42), "x".repeat(128), "team-a/ann", "a b", "...", "<b>", "\u{1F600}"])("%j is one", (id) => {
    expect(isUserId(id)).toBe(true);
  });

  test.each(["", ".", "..", " a", "a ", "a\u00a0", "a\n", "\u0085", "x".repeat(129), "€".repeat(43), "\ud800", undefined, 7])("%j is none", (id) => {
    expect(isUserId(id)).toBe(false);
  });

  test("watching what is none throws and watches nobody", async () => {
    const { time, client, server } = await live();
    expect(() => client.watch(["bob", ""], () => undefined)).toThrow(expect.objectContaining({ code: "invalid_user_id" }) as Error);
    await time.advance(100);
    expect(server.messages("watch")).toEqual([]);
  });
});

describe("the server's clock", () => {
  test("tells when a user was last seen, whatever the computer's clock says", async () => {
    const { time, client, server } = await live();
    server.clockOffsetMs = -86_400_000 * 400;
    server.restart(true);
    await time.advance(5000);
    const now = client.serverNow() ?? 0;
    expect(Math.abs(now - Date.parse(server.now()))).toBeLessThan(20);
    const ago = (seconds: number, status = "OFFLINE") =>
      client.lastSeenAgo({ status, lastSeen: new Date(now - seconds * 1000).toISOString() } as PresenceRecord, "en");
    expect([ago(0), ago(59), ago(60), ago(3599), ago(7200), ago(86_400), ago(86_400 * 8), ago(-5), ago(500, "IDLE")]).toEqual([
      "now", "59 seconds ago", "1 minute ago", "59 minutes ago", "2 hours ago", "yesterday", "last week", "now", "now",
    ]);
    expect(client.lastSeenAgo({ lastSeen: null } as PresenceRecord)).toBeUndefined();
    await time.advance(60_000);
    expect(Math.abs((client.serverNow() ?? 0) - Date.parse(server.now()))).toBeLessThan(20);
  });

  test("is not put back by a message that travelled for long", async () => {
    const { time, client, server } = await live();
    client.watch(["bob"], () => undefined);
    await time.advance(50);
    server.latencyMs = 5000;
    server.set("bob", { status: "ONLINE" });
    await time.advance(6000);
    expect(Math.abs((client.serverNow() ?? 0) - Date.parse(server.now()))).toBeLessThan(20);
  });

  test("is not known before the first connection", () => {
    expect(setup().client.serverNow()).toBeUndefined();
  });
});
