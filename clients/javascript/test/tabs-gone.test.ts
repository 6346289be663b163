// Tabs that are gone, or only seem to be.

import { describe, expect, test } from "vitest";
import { browser, type Tab } from "./tab-harness.ts";

test("a page in the back/forward cache is not elected, though browsers freeze and resume it there", async () => {
  const { time, server, openAll } = browser();
  const [leader, second, third] = (await openAll(3)) as [Tab, Tab, Tab];
  leader.env.window.dispatch("pagehide", { persisted: true });
  leader.env.document.dispatch("freeze");
  await time.advance(500);
  leader.env.document.dispatch("resume");
  for (const { client } of [second, third]) client.close();
  await time.advance(500);
  expect(server.connections.size).toBe(0);
  leader.env.window.dispatch("pageshow", { persisted: true });
  await time.advance(500);
  expect(leader.status()).toBe("live");
  expect(server.connections.size).toBe(1);
});

describe("followers that are gone without a word", () => {
  async function two() {
    const all = browser();
    const [leader, follower] = (await all.openAll(2)) as [Tab, Tab];
    follower.client.watch(["bob"], () => undefined);
    await all.time.advance(100);
    const watched = () => [...([...all.server.connections][0]?.watched ?? [])];
    expect(watched()).toEqual(["bob"]);
    return { ...all, leader, follower, watched };
  }

  test("are not watched for any more, and don't keep the last tab from signing out", async () => {
    const { time, server, leader, follower, watched } = await two();
    follower.env.crash();
    Object.assign(follower.env, { setTimeout: () => undefined });
    await time.advance(130_000);
    expect(watched()).toEqual([]);
    const [socket] = server.connections;
    leader.client.close();
    expect(socket?.closedWith).toBe(1000);
  });

  test("one that is there is kept, however long nothing happens", async () => {
    const { time, server, watched } = await two();
    await time.advance(3_600_000);
    expect(watched()).toEqual(["bob"]);
    expect(server.messages("watch").length).toBe(1);
  });

  test("one that did not run for a while is taken in again", async () => {
    const { time, server, follower, watched } = await two();
    follower.env.document.visibilityState = "hidden"; // in the background nobody misses the leader's answers
    follower.env.suspended.value = true;
    await time.advance(300_000);
    expect(watched()).toEqual([]);
    server.set("bob", { status: "IDLE" });
    follower.env.suspended.value = false;
    await time.advance(500);
    expect(watched()).toEqual(["bob"]);
    expect(follower.client.get("bob")?.status).toBe("IDLE");
  });
});
