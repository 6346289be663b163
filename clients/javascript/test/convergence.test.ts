// Whatever the order of messages, losses, restarts, watches and changes: the store ends as the server's, and never goes
// back on the way.

import fc from "fast-check";
import { expect, test } from "vitest";
import type { Status } from "../src/index.ts";
import { FakeServer } from "./fake/server.ts";
import { FakeTime } from "./fake/time.ts";
import { setup } from "./harness.ts";

const USERS = ["a", "b", "c", "d", "e", "f", "g", "me"];
const user = fc.constantFrom(...USERS);

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("set" as const), user, status: fc.constantFrom<Status>("ONLINE", "IDLE", "OFFLINE", "DO_NOT_DISTURB") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), user }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("watch" as const), users: fc.uniqueArray(user, { minLength: 1 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("unwatch" as const), index: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("lose" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const), isClean: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("refuse" as const), code: fc.constantFrom("rate_limited", "too_many_watched", "store_unavailable") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("unreachable" as const), isUnreachable: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("latency" as const), millis: fc.nat(60) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("wait" as const), millis: fc.nat(300) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), millis: fc.nat(40_000) }) },
);

test("the store ends as the server's", { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const server = new FakeServer(new FakeTime());
      const { time, client, status } = setup({ server });
      const ends: (() => void)[] = [];
      const watched: string[][] = [];
      const seen = new Map<string, unknown>();
      for (const now of steps) {
        switch (now.do) {
          case "set":
            server.set(now.user, { status: now.status });
            break;
          case "remove":
            if (now.user !== "me") server.set(now.user, { removed: true, status: "OFFLINE" });
            break;
          case "watch":
            watched.push(now.users);
            ends.push(client.watch(now.users, (changes) => { for (const [id, record] of changes) seen.set(id, record); }));
            break;
          case "unwatch":
            ends.splice(now.index, 1)[0]?.();
            watched.splice(now.index, 1);
            break;
          case "lose":
            for (const connection of server.connections) connection.end(1006);
            break;
          case "restart":
            server.restart(now.isClean);
            break;
          case "refuse":
            server.refusals.push({ type: "watch", code: now.code });
            break;
          case "unreachable":
            server.isUnreachable = now.isUnreachable;
            break;
          case "latency":
            server.latencyMs = now.millis;
            break;
          case "wait":
            await time.advance(now.millis);
        }
      }
      server.isUnreachable = false;
      server.refusals.length = 0;
      for (const connection of server.connections) connection.end(1006); // an earlier refusal holds for its connection
      await time.advance(60_000);
      expect(status()).toBe("live");
      for (const id of USERS) {
        const isWatched = watched.some((users) => users.includes(id));
        const record = server.record(id);
        const expected = !isWatched || "removed" in record ? undefined : id === "me" ? server.ownRecord(id) : record;
        const shown = client.get(id);
        if (id === "me" && shown && expected) expect({ ...shown, sessions: 0 }).toEqual({ ...expected, sessions: 0 });
        else expect(shown).toEqual(expected);
        if (isWatched && id !== "me") expect(seen.get(id)).toBe(shown);
      }
      expect([...server.connections][0]?.watched).toEqual(new Set(watched.flat()));
      expect(client.own.getSnapshot().record?.revision).toBe(server.ownRecord("me").revision);
      client.close();
    }),
    { numRuns: 300 },
  );
});
