// Time that a test owns. Timers of the page can be throttled, as browsers do in background tabs; the network is not.

interface Timer {
  at: number;
  readonly callback: () => void;
  readonly isPage: boolean;
}

/** Lets everything run that waits for promises only. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
}

export class FakeTime {
  #now = 1000;
  #timers = new Set<Timer>();
  /** Timers of the page fire only at multiples of this. */
  throttleMs = 1;

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, millis: number, isPage = true): Timer {
    const timer = { at: this.#now + Math.max(0, millis), callback, isPage };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  /** Runs what is due within so many milliseconds, in order. */
  async advance(millis: number): Promise<void> {
    const end = this.#now + millis;
    await settle();
    for (;;) {
      let next: Timer | undefined;
      for (const timer of this.#timers) if (!next || this.#due(timer) < this.#due(next)) next = timer;
      if (!next || this.#due(next) > end) break;
      this.#now = Math.max(this.#now, this.#due(next));
      this.#timers.delete(next);
      next.callback();
      await settle();
    }
    this.#now = end;
  }

  /** Time passes and nothing runs: the computer sleeps, or the process is stopped. Late timers then run before what the network brought. */
  sleep(millis: number): void {
    this.#now += millis;
    for (const timer of this.#timers) if (!timer.isPage) timer.at = Math.max(timer.at, this.#now + 50);
  }

  /** Advances until a condition holds. */
  async until(condition: () => boolean, limitMs = 60_000): Promise<void> {
    const end = this.#now + limitMs;
    await settle();
    while (!condition()) {
      if (this.#now >= end) throw new Error(`not within ${limitMs} ms: ${condition.toString()}`);
      await this.advance(10);
    }
  }

  #due(timer: Timer): number {
    if (!timer.isPage || this.throttleMs === 1) return timer.at;
    return Math.ceil(timer.at / this.throttleMs) * this.throttleMs;
  }
}
