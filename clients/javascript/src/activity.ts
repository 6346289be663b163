// What a connection tells of the user's activity: when the last input was, at once after it has begun and then every 30 s at
// most, and that the user went idle. A new connection is no input: it says how long ago the last one was. Pure: time is an argument.

import type { ClientMessage, OwnRecord } from "./protocol.ts";

/** The protocol's advice. */
const REPORT_INTERVAL_MS = 30_000;
/** A change of the own status that arrives sooner after an input may be older than its report. */
const OVERLAP_MS = 5000;

export class ActivityReports {
  readonly #idleAfterMs: number;
  /** When the last input was; not finite if there was none since the page was loaded. */
  #inputAt: number;
  /** Whether anything is reported: in a page always, elsewhere once the application told of an input. */
  #isTracking: boolean;
  /** Whether the last report of this connection was that the user is idle; undefined before the first. */
  #wasIdle: boolean | undefined;
  #reportedAt = -Infinity;

  constructor(idleAfterMs: number, isTracking: boolean, inputAt = -Infinity) {
    this.#idleAfterMs = idleAfterMs;
    this.#isTracking = isTracking;
    this.#inputAt = inputAt;
  }

  onInput(at: number): void {
    this.#isTracking = true;
    this.#inputAt = Math.max(at, this.#inputAt);
  }

  /** @param sleptMs for how long the clock stood still since the last input: so much longer ago was that */
  onConnected(sleptMs: number): void {
    this.#wasIdle = undefined;
    if (sleptMs > OVERLAP_MS) this.#inputAt -= sleptMs;
  }

  /** The server's own limit may be shorter than ours: its word holds until the next input. */
  onOwnRecord(own: OwnRecord, now: number): void {
    const isIdle = own.status === "IDLE" && own.customStatus !== "IDLE";
    if (!isIdle || this.#wasIdle !== false || now - this.#inputAt <= OVERLAP_MS) return;
    this.#wasIdle = true;
    if (this.#inputAt <= this.#reportedAt) this.#inputAt = -Infinity;
  }

  /** The message to send now, if there is one. The caller sends it. */
  next(now: number): ClientMessage | undefined {
    if (!this.#isTracking) return undefined;
    const ago = now - this.#inputAt;
    const isIdle = ago >= this.#idleAfterMs;
    const isLater = this.#inputAt > this.#reportedAt && now - this.#reportedAt >= REPORT_INTERVAL_MS;
    if (isIdle === this.#wasIdle && (isIdle || !isLater)) return undefined;
    this.#wasIdle = isIdle;
    this.#reportedAt = now;
    return { type: "activity", idle: isIdle, agoMs: Math.round(ago) };
  }

  /** In how many milliseconds there will be something to send; infinite if only an input brings that about. */
  dueInMs(now: number): number {
    const idleInMs = this.#inputAt + this.#idleAfterMs - now;
    const reportInMs = this.#reportedAt + REPORT_INTERVAL_MS - now;
    if (!this.#isTracking || idleInMs <= 0) return Infinity;
    return this.#inputAt > this.#reportedAt && reportInMs > 0 ? Math.min(idleInMs, reportInMs) : idleInMs;
  }
}
