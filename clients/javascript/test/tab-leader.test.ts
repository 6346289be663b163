// However the messages of followers cross: the session watches what the tabs watch together, each user once.

import fc from "fast-check";
import { expect, test } from "vitest";
import type { SessionLink } from "../src/link.ts";
import { ServerClock } from "../src/server-clock.ts";
import { TabLeader } from "../src/tab-leader.ts";
import type { FollowerMessage } from "../src/tab-messages.ts";
import { pageEnvironment } from "./fake/environment.ts";
import { FakeServer } from "./fake/server.ts";
import { FakeTime } from "./fake/time.ts";

function leader(ownIds: string[]) {
  const time = new FakeTime();
  const env = pageEnvironment(time, new FakeServer(time));
  const watched = new Set<string>();
  const nothing = () => undefined;
  const session: SessionLink = {
    ...{ isOpen: true, sessionId: "s", open: nothing, onInput: nothing, wake: nothing, onFreeze: nothing, onResume: nothing },
    ...{ onHide: nothing, close: nothing, get: nothing, setStatus: () => Promise.reject(new Error("not here")) },
    watch: (ids) => {
      for (const id of ids) {
        expect(watched.has(id)).toBe(false);
        watched.add(id);
      }
    },
    unwatch: (ids) => {
      for (const id of ids) expect(watched.delete(id)).toBe(true);
    },
  };
  const events = { onRecords: nothing, onOwn: nothing, onState: nothing, onError: nothing };
  const options = { url: "ws://server/ws", getToken: nothing, idleAfterMs: 1000, isTracking: true, inputAt: undefined };
  const start = { env, options, clock: new ServerClock(env), events, userIds: new Set(ownIds), openSession: () => session };
  return { link: new TabLeader(start, options, nothing), watched };
}

const user = fc.constantFrom("a", "b", "c", "d");
const users = fc.array(user, { maxLength: 4 }); // may name a user twice
const step = fc.record({
  from: fc.constantFrom("tab-1", "tab-2"),
  type: fc.constantFrom("hello" as const, "watch" as const, "unwatch" as const, "bye" as const),
  userIds: users,
});

test("hello, watch, unwatch and bye in any order count each tab once", () => {
  fc.assert(
    fc.property(fc.uniqueArray(user), fc.array(step, { maxLength: 30 }), (ownIds, steps) => {
      const { link, watched } = leader(ownIds);
      const followers = new Map<string, Set<string>>();
      for (const { from, type, userIds } of steps) {
        const known = followers.get(from);
        if (type === "hello") followers.set(from, new Set(userIds));
        else if (type === "bye") followers.delete(from);
        else for (const id of userIds) known?.[type === "watch" ? "add" : "delete"](id);
        const message: FollowerMessage = type === "bye" ? { type } : type === "hello" ? { type, userIds, inputAgoMs: null } : { type, userIds };
        link.receive({ from, ...message });
        expect(watched).toEqual(new Set([...ownIds, ...[...followers.values()].flatMap((ids) => [...ids])]));
      }
      link.unwatch(ownIds);
      for (const from of followers.keys()) link.receive({ from, type: "bye" });
      expect(watched).toEqual(new Set());
    }),
    { numRuns: 500 },
  );
});
