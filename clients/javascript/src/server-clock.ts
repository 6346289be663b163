// The server's time, estimated from the `now` of its messages: records are compared with that, never with the clock of
// the computer, which may be wrong.

import type { Environment } from "./environment.ts";

export class ServerClock {
  readonly #env: Environment;
  #offsetMs = -Infinity;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** Milliseconds since 1970 by the server's clock; undefined before it has said its time. */
  now(): number | undefined {
    return this.#offsetMs === -Infinity ? undefined : this.#offsetMs + this.#env.now();
  }

  /** A message said this time. What travelled for the shortest time is nearest to the truth: the largest offset. */
  observe(nowMs: number): void {
    const offsetMs = nowMs - this.#env.now();
    if (offsetMs > this.#offsetMs) this.#offsetMs = offsetMs;
  }

  /** A new connection begins: the server may be another one, and its clock may have been set. */
  restart(): void {
    this.#offsetMs = -Infinity;
  }
}
