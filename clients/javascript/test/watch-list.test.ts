import { expect, test } from "vitest";
import type { ClientMessage } from "../src/protocol.ts";
import { WatchList } from "../src/watch-list.ts";

function connected(...userIds: string[]): { list: WatchList; dropped: string[] } {
  const dropped: string[] = [];
  const list = new WatchList((id) => dropped.push(id));
  list.watch(userIds);
  list.onConnected();
  return { list, dropped };
}

const sinceOf = (message: ClientMessage | undefined) => (message?.type === "watch" ? message.since : undefined);

test("requests of one connection name the cursor from before it, though new ones arrive meanwhile", () => {
  const ids = Array.from({ length: 200 }, (_, index) => `${index}`.padEnd(128, "x"));
  const { list } = connected(...ids);
  for (let id = 1; list.next(id); id += 1) list.onSnapshot(id, "old");
  list.onDisconnected();
  list.onConnected();
  expect(sinceOf(list.next(10))).toBe("old");
  list.onSnapshot(10, "new");
  expect(sinceOf(list.next(11))).toBe("old");
  list.onDisconnected();
  list.onConnected();
  // The second half was not complete when "new" came.
  const messages = [list.next(20), list.next(21)];
  expect(messages.map(sinceOf)).toEqual(["new", undefined]);
});

test("the answer to a request that is void covers nobody", () => {
  const { list } = connected("a", "b");
  list.next(1);
  list.unwatch(["a"]);
  list.next(2);
  list.watch(["a"]);
  list.next(3);
  list.onSnapshot(1, "first");
  list.onDisconnected();
  list.onConnected();
  expect([list.next(4), list.next(5)]).toEqual([
    { type: "watch", id: 4, userIds: ["b"], since: "first" },
    { type: "watch", id: 5, userIds: ["a"] },
  ]);
});

test("a user is dropped when the server is told, or can't be told any more", () => {
  const { list, dropped } = connected("a", "b");
  list.next(1);
  list.unwatch(["a"]);
  expect([list.has("a"), dropped]).toEqual([true, []]);
  list.next(2);
  expect([list.has("a"), dropped]).toEqual([false, ["a"]]);
  list.unwatch(["b"]);
  list.onDisconnected();
  expect([list.has("b"), dropped]).toEqual([false, ["a", "b"]]);
});

test("what is watched again before the server was told of the end stays as it is", () => {
  const { list, dropped } = connected("a");
  list.next(1);
  list.unwatch(["a"]);
  list.watch(["a"]);
  expect([list.next(2), dropped]).toEqual([undefined, []]);
});

test("a user whose watch ends before the first cursor of a connection can't be resumed later", () => {
  const { list } = connected("a", "b");
  list.next(1);
  list.onSnapshot(1, "old");
  list.onDisconnected();
  list.onConnected();
  list.next(2);
  list.unwatch(["a"]);
  list.next(3);
  list.onDisconnected();
  list.watch(["a"]);
  list.onConnected();
  expect([list.next(4), list.next(5)]).toEqual([
    { type: "watch", id: 4, userIds: ["b"], since: "old" },
    { type: "watch", id: 5, userIds: ["a"] },
  ]);
});

test("what a connection did not complete is not covered by its cursor", () => {
  const { list } = connected("a");
  list.next(1);
  list.onSnapshot(1, "old");
  list.onDisconnected();
  list.onConnected();
  list.next(2);
  list.onCursor("of changes");
  list.onDisconnected();
  list.onConnected();
  expect(sinceOf(list.next(3))).toBeUndefined();
});

test("a refused request that was unwatched meanwhile is dropped, not repeated", () => {
  const { list, dropped } = connected("a", "b");
  list.next(1);
  list.unwatch(["a"]);
  expect(list.onRefused(1, "rate_limited")).toBe(true);
  expect(dropped).toEqual(["a"]);
  expect(list.next(2)).toEqual({ type: "watch", id: 2, userIds: ["b"] });
  expect(list.onRefused(7, "rate_limited")).toBe(false);
});
