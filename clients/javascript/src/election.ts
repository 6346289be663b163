// Which tab has the connection: the one that holds a lock of the origin. The browser passes the lock on when its holder
// is closed or crashes; one that lives on but does not answer is robbed of it.

import type { LocksLike } from "./environment.ts";

export interface ElectionEvents {
  readonly onElected: () => void;
  /** Another tab took the lock away. */
  readonly onDeposed: () => void;
}

export class Election {
  readonly #locks: LocksLike;
  readonly #name: string;
  readonly #events: ElectionEvents;
  #abort: AbortController | undefined;
  #release: (() => void) | undefined;

  constructor(locks: LocksLike, name: string, events: ElectionEvents) {
    this.#locks = locks;
    this.#name = name;
    this.#events = events;
  }

  /** Waits in line, unless it does or has the lock: whoever is in line twice can't leave it. */
  stand(): void {
    if (this.#abort) return;
    const abort = (this.#abort = new AbortController());
    void this.#request({ signal: abort.signal }, abort);
  }

  /** Takes the lock away from whoever holds it. */
  seize(): void {
    this.withdraw();
    const abort = (this.#abort = new AbortController());
    void this.#request({ steal: true }, abort);
  }

  /** Gives the lock, or the place in line, to the others. */
  withdraw(): void {
    this.#abort?.abort();
    this.#abort = undefined;
    this.#release?.();
    this.#release = undefined;
  }

  async #request(options: LockOptions, abort: AbortController): Promise<void> {
    try {
      await this.#locks.request(this.#name, options, () => {
        if (abort.signal.aborted) return undefined;
        return new Promise<void>((resolve) => {
          this.#release = resolve;
          this.#events.onElected();
        });
      });
    } catch (error) {
      // Aborted while it waited, or the lock was stolen; else the browser gives this page no locks, so there is no line.
      if (this.#abort !== abort) return;
      if ((error as DOMException).name !== "AbortError") {
        this.#events.onElected();
        return;
      }
      this.#abort = this.#release = undefined;
      this.#events.onDeposed();
    }
  }
}
