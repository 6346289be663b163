// A network between a page and the daemon that can fail: what it has taken is kept back, as TCP does with lost packets,
// and neither side is told.

import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

interface Route {
  readonly client: Socket;
  readonly daemon: Socket;
}

export class Proxy {
  readonly #server: Server;
  readonly #routes = new Set<Route>();
  #isFailing = false;

  private constructor(daemonPort: number) {
    this.#server = createServer((client) => {
      const route = { client, daemon: connect(daemonPort, "127.0.0.1") };
      this.#routes.add(route);
      forward(client, route.daemon);
      forward(route.daemon, client);
      if (this.#isFailing) pause(route);
    });
  }

  static async start(daemonPort: number): Promise<Proxy> {
    const proxy = new Proxy(daemonPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ws`;
  }

  /** From now on nothing gets through, in either direction. */
  fail(): void {
    this.#isFailing = true;
    for (const route of this.#routes) pause(route);
  }

  /** Everything gets through again, what was under way too. */
  recover(): void {
    this.#isFailing = false;
    for (const { client, daemon } of this.#routes) {
      client.resume();
      daemon.resume();
    }
  }

  /** New connections get through; those there are never carry anything again, and nobody is told. */
  recoverForNewConnections(): void {
    this.#isFailing = false;
  }

  /** Both sides are told that the connections are no more. New ones get through. */
  reset(): void {
    this.#isFailing = false;
    for (const { client, daemon } of this.#routes) {
      client.resetAndDestroy();
      daemon.resetAndDestroy();
    }
    this.#routes.clear();
  }

  close(): void {
    this.reset();
    this.#server.close();
  }
}

function pause({ client, daemon }: Route): void {
  client.pause();
  daemon.pause();
}

function forward(from: Socket, to: Socket): void {
  from.on("data", (data) => to.write(data));
  from.on("error", () => undefined); // a close event follows
  from.on("close", () => to.destroy());
}
