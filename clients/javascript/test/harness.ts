// One client of the fake server, in fake time.

import { afterEach } from "vitest";
import { connect, type ConnectOptions, type PresenceClient, type PresenceError } from "../src/index.ts";
import { type FakeEnvironment, nodeEnvironment, pageEnvironment } from "./fake/environment.ts";
import { FakeServer, type FakeSocket } from "./fake/server.ts";
import { FakeTime } from "./fake/time.ts";

export interface Setup {
  readonly time: FakeTime;
  readonly server: FakeServer;
  readonly env: FakeEnvironment;
  readonly errors: PresenceError[];
  readonly client: PresenceClient;
  /** Every status that the connection had. */
  readonly states: string[];
  status(): string;
  socket(): FakeSocket;
}

const clients = new Set<PresenceClient>();

afterEach(() => {
  for (const client of clients) client.close();
  clients.clear();
});

export function setup(options: Partial<ConnectOptions> & { isNode?: boolean; server?: FakeServer; env?: FakeEnvironment } = {}): Setup {
  const time = options.server?.time ?? new FakeTime();
  const server = options.server ?? new FakeServer(time);
  const env = options.env ?? pageEnvironment(time, server);
  const errors: PresenceError[] = [];
  const environment = options.isNode ? nodeEnvironment(time, server) : env;
  const client = connect({ url: "ws://server/ws", getToken: () => "me", onError: (error) => errors.push(error), environment, ...options });
  clients.add(client);
  const states: string[] = [];
  client.connection.subscribe(() => states.push(client.connection.getSnapshot().status));
  const status = () => client.connection.getSnapshot().status;
  const socket = () => {
    const [first] = server.connections;
    if (!first) throw new Error("no connection");
    return first;
  };
  return { time, server, env, errors, client, states, status, socket };
}

export async function live(options: Parameters<typeof setup>[0] = {}): Promise<Setup> {
  const started = setup(options);
  await started.time.until(() => started.status() === "live");
  return started;
}
