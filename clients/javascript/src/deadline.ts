// One deadline that may be moved. A timer that fires late (a throttled background tab, a page that was frozen, a
// computer that slept) says nothing about the network: what arrived meanwhile may still be in the page's queue. Such a
// timer gets one more, short wait before the deadline counts.

import type { Environment } from "./environment.ts";

/** A timer that fires later than this was throttled, or the page did not run. */
const LATE_MS = 1000;
const SECOND_WAIT_MAX_MS = 4000;

export class Deadline {
  readonly #env: Environment;
  #timer: unknown;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** Calls back after `millis`, or as soon as timers run after that, unless it is set again or cleared before. */
  set(millis: number, callback: () => void): void {
    this.clear();
    this.#timer = this.#env.setTimeout(callback, millis);
  }

  /** The same for a deadline by which something must have arrived. */
  setForAnswer(millis: number, callback: () => void): void {
    const due = this.#env.now() + millis;
    this.set(millis, () => {
      if (this.#env.now() - due <= LATE_MS) callback();
      else this.set(Math.min(millis, SECOND_WAIT_MAX_MS), callback);
    });
  }

  clear(): void {
    this.#env.clearTimeout(this.#timer);
  }
}
