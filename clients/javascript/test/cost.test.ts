// The work of the main thread for a change, with 5,000 watched users: printed, and bounded loosely.

import { expect, test } from "vitest";
import { live } from "./harness.ts";

test("a change of one of 5,000 watched users costs far less than a frame", async () => {
  const { time, client, server, socket } = await live();
  server.usersPerFrame = 500;
  const ids = Array.from({ length: 5000 }, (_, index) => `user-${index}`);
  let calls = 0;
  for (const id of ids) client.watch([id], () => (calls += 1));
  await time.advance(10_000);
  const changes = 10_000; // 50 s at 200 a second
  const frames = Array.from({ length: changes }, (_, index) => {
    const userId = ids[index % ids.length];
    const user = { userId, status: index % 2 ? "IDLE" : "ONLINE", since: null, lastSeen: null, lastActive: null, revision: 10 + index };
    return JSON.stringify({ type: "presence", cursor: `1.${index}`, now: server.now(), users: [user] });
  });
  calls = 0;
  const { onmessage } = socket();
  const before = performance.now();
  for (const data of frames) onmessage?.({ data } as never);
  const micros = ((performance.now() - before) * 1000) / changes;
  console.log(`${micros.toFixed(1)} µs per change, parsing included`);
  expect(calls).toBe(changes);
  expect(micros).toBeLessThan(1000);
});
