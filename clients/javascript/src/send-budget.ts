// Keeps a connection within the server's limits of messages and bytes, beyond which it would be closed for good.

import type { Environment } from "./environment.ts";

/** The server allows 30 messages a second with a burst of 100, and 64 KiB a second with a burst of 1 MiB. The rest is room for what the network delays and delivers at once. */
const MESSAGES_PER_MS = 0.025;
const MESSAGES_BURST = 75;
const BYTES_PER_MS = 50;
const BYTES_BURST = 800_000;

export class SendBudget {
  readonly #env: Environment;
  #messages = MESSAGES_BURST;
  #bytes = BYTES_BURST;
  #at: number;

  constructor(env: Environment) {
    this.#env = env;
    this.#at = env.now();
  }

  /** For how many milliseconds a next message has to wait; 0 if it may go. */
  waitMs(): number {
    const now = this.#env.now();
    const elapsed = Math.max(0, now - this.#at);
    this.#at = now;
    this.#messages = Math.min(MESSAGES_BURST, this.#messages + elapsed * MESSAGES_PER_MS);
    this.#bytes = Math.min(BYTES_BURST, this.#bytes + elapsed * BYTES_PER_MS);
    return Math.ceil(Math.max((1 - this.#messages) / MESSAGES_PER_MS, -this.#bytes / BYTES_PER_MS, 0));
  }

  /** Counts a message that was sent, of so many bytes. */
  take(bytes: number): void {
    this.#messages -= 1;
    this.#bytes -= bytes;
  }
}
