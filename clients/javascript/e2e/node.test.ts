// The client in Node.js against a real daemon.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "vitest";
import { waitFor } from "./daemon.ts";
import { hasOneSession, type Scene, statuses, test } from "./scene.ts";

test.concurrent("two users see each other come, change and leave", async ({ start }) => {
  const scene = await start();
  const bob = await scene.live("bob");
  const shown = statuses(bob, "ann");
  await waitFor(() => bob.get("ann")?.status === "OFFLINE");
  const ann = await scene.live("ann");
  await waitFor(() => bob.get("ann")?.status === "ONLINE");
  await ann.updateCustomStatus("DO_NOT_DISTURB");
  await waitFor(() => bob.get("ann")?.status === "DO_NOT_DISTURB");
  expect(ann.own.getSnapshot()).toMatchObject({ customStatus: "DO_NOT_DISTURB", status: "DO_NOT_DISTURB", isPending: false });
  ann.close();
  await waitFor(() => bob.get("ann")?.status === "OFFLINE");
  expect(shown).toEqual(["OFFLINE", "ONLINE", "DO_NOT_DISTURB", "OFFLINE"]);
  expect(bob.lastSeenAgo(bob.get("ann")!, "en")).toMatch(/^now$|second/);
});

test.concurrent.for(["SIGTERM", "SIGKILL"] as const)("nobody is shown OFFLINE after %s of the daemon, and nothing is missed", async (signal, { start }) => {
  const scene = await start();
  const { daemon } = scene;
  const ann = await scene.live("ann");
  const bob = await scene.live("bob");
  const shown = statuses(bob, "ann");
  await waitFor(() => bob.get("ann")?.status === "ONLINE");
  await daemon.written();
  await daemon.stop(signal);
  await waitFor(() => bob.connection.getSnapshot().status === "waiting");
  await daemon.startAgain();
  await waitFor(() => [ann, bob].every((client) => client.connection.getSnapshot().status === "live"));
  expect(bob.get("ann")?.status).toBe("ONLINE");
  await ann.updateCustomStatus("IDLE");
  await waitFor(() => bob.get("ann")?.status === "IDLE");
  expect(shown).toEqual(["ONLINE", "IDLE"]);
});

test.concurrent("tokens of 3 s cause no event, and idleness comes in time although nothing is touched", async ({ start }) => {
  const scene = await start("--grace", "20s");
  const { daemon } = scene;
  const bob = await scene.live("bob");
  const shown = statuses(bob, "ann");
  await waitFor(() => bob.get("ann")?.status === "OFFLINE");
  const ann = await scene.live("ann", { seconds: 3, idleAfterMs: 8000 });
  const inputAt = Date.now();
  ann.reportActivity();
  let connects = 0;
  ann.connection.subscribe(() => (connects += ann.connection.getSnapshot().status === "live" ? 1 : 0));
  await waitFor(() => bob.get("ann")?.status === "IDLE");
  const idleAfterMs = Date.parse((await daemon.presence("ann")).since ?? "") - inputAt;
  expect(idleAfterMs).toBeGreaterThan(7000);
  expect(idleAfterMs).toBeLessThan(38_000);
  await waitFor(() => connects >= 6);
  expect(shown).toEqual(["OFFLINE", "ONLINE", "IDLE"]);
  await waitFor(hasOneSession(daemon, "ann"));
  const { lastActive } = await daemon.presence("ann");
  expect(Date.parse(lastActive ?? "") - inputAt).toBeGreaterThan(-100);
  expect(Date.parse(lastActive ?? "") - inputAt).toBeLessThan(8000);
});

test.concurrent("a custom status is set without a connection, and during a restart", async ({ start }) => {
  const scene = await start();
  const { daemon } = scene;
  const early = scene.connect("ann");
  await early.updateCustomStatus("IDLE"); // nothing is open yet: by REST
  await waitFor(() => early.connection.getSnapshot().status === "live");
  expect(early.own.getSnapshot().customStatus).toBe("IDLE");
  await daemon.stop();
  const done = early.updateCustomStatus("DO_NOT_DISTURB");
  await daemon.startAgain();
  expect((await done).customStatus).toBe("DO_NOT_DISTURB");
});

test.concurrent("twenty changes and more in a row wait for the rate limit, and the last one holds", async ({ start }) => {
  const scene = await start();
  const ann = await scene.live("ann");
  for (let turn = 0; turn < 22; turn += 1) await ann.updateCustomStatus(turn % 2 ? "IDLE" : "ONLINE");
  await ann.updateCustomStatus("DO_NOT_DISTURB");
  const { customStatus } = (await scene.daemon.call("/api/user/custom-status/ann")) as { customStatus: string };
  expect(customStatus).toBe("DO_NOT_DISTURB");
});

test.concurrent("5,000 users are watched in a few messages, and a change of one is one callback", async ({ start }) => {
  const scene = await start();
  const bob = await scene.live("bob");
  const ids = Array.from({ length: 5000 }, (_, index) => `user-${index}`);
  const changed: string[] = [];
  bob.watch(ids, (changes) => changed.push(...changes.keys()));
  await waitFor(() => changed.length >= 5000);
  await scene.live("user-4999");
  await waitFor(() => bob.get("user-4999")?.status === "ONLINE");
  expect(changed.slice(5000)).toEqual(["user-4999"]);
});

test.concurrent("a kick and a forgotten user are final", async ({ start }) => {
  const scene = await start();
  const [ann, bob] = [await scene.live("ann"), await scene.live("bob")];
  await scene.daemon.call("/api/presence/ann/sessions", { method: "DELETE" });
  await scene.daemon.call("/api/user/bob", { method: "DELETE" });
  await waitFor(() => ann.connection.getSnapshot().status === "stopped" && bob.connection.getSnapshot().status === "stopped");
  expect([ann, bob].map((client) => client.connection.getSnapshot().reason)).toEqual(["kicked", "forgotten"]);
});

/** A custom status of ann's is under way when the network fails; the connection is then lost. */
async function unanswered(scene: Scene, meanwhile: () => Promise<unknown>) {
  const proxy = await scene.proxy();
  const ann = await scene.live("ann", { url: proxy.wsUrl });
  await scene.daemon.written();
  proxy.fail();
  const result = ann.updateCustomStatus("IDLE");
  await meanwhile();
  proxy.reset();
  const { customStatus } = await result;
  expect(await scene.daemon.call("/api/user/custom-status/ann")).toEqual({ customStatus });
  return customStatus;
}

test.concurrent("an unanswered custom status does not replace one that another device has set since", async ({ start }) => {
  const scene = await start();
  const other = await scene.live("ann");
  expect(await unanswered(scene, () => other.updateCustomStatus("DO_NOT_DISTURB"))).toBe("DO_NOT_DISTURB");
});

test.concurrent("an unanswered custom status is sent again after a crash of the daemon", async ({ start }) => {
  const scene = await start();
  const restart = async () => {
    await scene.daemon.stop("SIGKILL");
    await scene.daemon.startAgain();
  };
  expect(await unanswered(scene, restart)).toBe("IDLE");
});

// Node.js 20 has a WebSocket behind a flag, which later ones ignore.
test.concurrent("the WebSocket of the runtime itself will do", async ({ start }) => {
  const { daemon } = await start();
  const env = { ...process.env, PRESENCED_WS: daemon.wsUrl, TOKEN_ANN: daemon.token("ann"), TOKEN_BOB: daemon.token("bob") };
  const { stdout } = await promisify(execFile)(process.execPath, ["--experimental-websocket", "e2e/smoke.mjs"], { env });
  expect(stdout).toBe("OFFLINE ONLINE DO_NOT_DISTURB OFFLINE\n");
});
