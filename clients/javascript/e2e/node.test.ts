// The client in Node.js against a real daemon.

import { afterEach, expect, test } from "vitest";
import WebSocket from "ws";
import { connect, type ConnectOptions, type PresenceClient } from "../src/index.ts";
import { Daemon, waitFor } from "./daemon.ts";

const daemons: Daemon[] = [];
const clients: PresenceClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const daemon of daemons.splice(0)) await daemon.remove();
});

async function start(...flags: string[]): Promise<Daemon> {
  const daemon = await Daemon.start(...flags);
  daemons.push(daemon);
  return daemon;
}

async function live(daemon: Daemon, userId: string, options: Partial<ConnectOptions> & { seconds?: number } = {}): Promise<PresenceClient> {
  const getToken = () => daemon.token(userId, options.seconds);
  const client = connect({ url: daemon.wsUrl, getToken, WebSocket, ...options });
  clients.push(client);
  await waitFor(() => client.connection.getSnapshot().status === "live");
  return client;
}

/** Every status that a client was shown of a user. */
function statuses(client: PresenceClient, userId: string): string[] {
  const shown: string[] = [];
  client.watch([userId], (changes) => shown.push(changes.get(userId)?.status ?? "gone"));
  return shown;
}

test("two users see each other come, change and leave", async () => {
  const daemon = await start();
  const bob = await live(daemon, "bob");
  const shown = statuses(bob, "ann");
  await waitFor(() => bob.get("ann")?.status === "OFFLINE");
  const ann = await live(daemon, "ann");
  await waitFor(() => bob.get("ann")?.status === "ONLINE");
  await ann.updateCustomStatus("DO_NOT_DISTURB");
  await waitFor(() => bob.get("ann")?.status === "DO_NOT_DISTURB");
  expect(ann.own.getSnapshot()).toMatchObject({ customStatus: "DO_NOT_DISTURB", status: "DO_NOT_DISTURB", isPending: false });
  ann.close();
  await waitFor(() => bob.get("ann")?.status === "OFFLINE");
  expect(shown.filter((status, index) => status !== shown[index - 1])).toEqual(["OFFLINE", "ONLINE", "DO_NOT_DISTURB", "OFFLINE"]);
  expect(bob.lastSeenAgo(bob.get("ann")!, "en")).toMatch(/^now$|second/);
});

test.each(["SIGTERM", "SIGKILL"] as const)("nobody is shown OFFLINE after %s of the daemon, and nothing is missed", async (signal) => {
  const daemon = await start();
  const ann = await live(daemon, "ann");
  const bob = await live(daemon, "bob");
  const shown = statuses(bob, "ann");
  await waitFor(() => bob.get("ann")?.status === "ONLINE");
  await daemon.stop(signal);
  await waitFor(() => bob.connection.getSnapshot().status === "waiting");
  await daemon.startAgain();
  await waitFor(() => [ann, bob].every((client) => client.connection.getSnapshot().status === "live"), 30_000);
  expect(bob.get("ann")?.status).toBe("ONLINE");
  await ann.updateCustomStatus("IDLE");
  await waitFor(() => bob.get("ann")?.status === "IDLE");
  expect(new Set(shown)).toEqual(new Set(["ONLINE", "IDLE"]));
});

test("tokens of 2 s cause no event, and idleness comes in time although nothing is touched", async () => {
  const daemon = await start();
  const bob = await live(daemon, "bob");
  const shown = statuses(bob, "ann");
  await waitFor(() => bob.get("ann")?.status === "OFFLINE");
  const ann = await live(daemon, "ann", { seconds: 2, idleAfterMs: 8000 });
  const startedAt = performance.now();
  ann.reportActivity();
  await waitFor(async () => (await daemon.presence("ann")).lastActive !== null);
  const { lastActive } = await daemon.presence("ann");
  let connects = 0;
  ann.connection.subscribe(() => (connects += ann.connection.getSnapshot().status === "live" ? 1 : 0));
  await waitFor(() => bob.get("ann")?.status === "IDLE");
  expect(performance.now() - startedAt).toBeGreaterThan(7500);
  expect(performance.now() - startedAt).toBeLessThan(10_500);
  await waitFor(() => connects >= 8, 30_000);
  expect(shown.filter((status, index) => status !== shown[index - 1])).toEqual(["OFFLINE", "ONLINE", "IDLE"]);
  expect((await daemon.presence("ann")).lastActive).toBe(lastActive);
  expect((await daemon.presence("ann")).sessions).toBe(1);
});

test("a custom status is set without a connection, and during a restart", async () => {
  const daemon = await start();
  const early = connect({ url: daemon.wsUrl, getToken: () => daemon.token("ann"), WebSocket });
  clients.push(early);
  await early.updateCustomStatus("IDLE"); // nothing is open yet: by REST
  await waitFor(() => early.connection.getSnapshot().status === "live");
  expect(early.own.getSnapshot().customStatus).toBe("IDLE");
  await daemon.stop();
  const done = early.updateCustomStatus("DO_NOT_DISTURB");
  await daemon.startAgain();
  expect((await done).customStatus).toBe("DO_NOT_DISTURB");
});

test("twenty changes and more in a row wait for the rate limit, and the last one holds", async () => {
  const daemon = await start();
  const ann = await live(daemon, "ann");
  for (let turn = 0; turn < 22; turn += 1) await ann.updateCustomStatus(turn % 2 ? "IDLE" : "ONLINE");
  await ann.updateCustomStatus("DO_NOT_DISTURB");
  const { customStatus } = (await daemon.call("/api/user/custom-status/ann")) as { customStatus: string };
  expect(customStatus).toBe("DO_NOT_DISTURB");
});

test("5,000 users are watched in a few messages, and a change of one is one callback", async () => {
  const daemon = await start();
  const bob = await live(daemon, "bob");
  const ids = Array.from({ length: 5000 }, (_, index) => `user-${index}`);
  const changed: string[] = [];
  bob.watch(ids, (changes) => changed.push(...changes.keys()));
  await waitFor(() => changed.length >= 5000);
  await live(daemon, "user-4999");
  await waitFor(() => bob.get("user-4999")?.status === "ONLINE");
  expect(changed.slice(5000)).toEqual(["user-4999"]);
});

test("a kick and a forgotten user are final", async () => {
  const daemon = await start();
  const [ann, bob] = [await live(daemon, "ann"), await live(daemon, "bob")];
  await daemon.call("/api/presence/ann/sessions", { method: "DELETE" });
  await daemon.call("/api/user/bob", { method: "DELETE" });
  await waitFor(() => ann.connection.getSnapshot().status === "stopped" && bob.connection.getSnapshot().status === "stopped");
  expect([ann, bob].map((client) => client.connection.getSnapshot().reason)).toEqual(["kicked", "forgotten"]);
});
