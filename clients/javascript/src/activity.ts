// What a connection tells of the user's activity: that there was an input, at most every 30 s, and that the user went
// idle. A new connection is no input: it says that the user is idle, or says nothing and lets the server continue the
// lost session. Pure: time is an argument.

import type { ClientMessage, OwnRecord } from "./protocol.ts";

/** The protocol's advice. An input that is older is not reported after a reconnect: it would count as one of now. */
const REPORT_INTERVAL_MS = 30_000;
/** A change of the own status that arrives sooner after a report was made before it. */
const OVERLAP_MS = 5000;

export class ActivityReports {
  readonly #idleAfterMs: number;
  /** When the last input was; undefined if there was none since the page was loaded. */
  #inputAt: number | undefined;
  /** Whether anything is reported: in a page always, elsewhere once the application told of an input. */
  #isTracking: boolean;
  /** What this connection has reported. */
  #reported: "active" | "idle" | undefined;
  #reportedAt = -Infinity;
  /** The server needs to hear that the user is active here, because otherwise other sessions decide. */
  #isNeeded = false;

  constructor(idleAfterMs: number, isTracking: boolean, inputAt: number | undefined) {
    this.#idleAfterMs = idleAfterMs;
    this.#isTracking = isTracking;
    this.#inputAt = inputAt;
  }

  onInput(at: number): void {
    this.#isTracking = true;
    this.#inputAt = Math.max(at, this.#inputAt ?? -Infinity);
  }

  onConnected(): void {
    this.#reported = undefined;
    this.#isNeeded = false;
  }

  /** The server's view of the user: connections that have said nothing don't count beside those that said "idle". */
  onOwnRecord(own: OwnRecord, now: number): void {
    const isIdle = own.status === "IDLE" && own.customStatus !== "IDLE";
    if (this.#reported === undefined) this.#isNeeded = isIdle || own.sessions > 1;
    // The server's own limit may be shorter than ours: its word holds until the next input.
    else if (isIdle && this.#reported === "active" && now - this.#reportedAt > OVERLAP_MS) {
      this.#reported = "idle";
      if (this.#inputAt !== undefined && this.#inputAt <= this.#reportedAt) this.#inputAt = -Infinity;
    }
  }

  /** The message to send now, if there is one. The caller sends it. */
  next(now: number): ClientMessage | undefined {
    if (!this.#isTracking) return undefined;
    if (this.#isIdle(now)) {
      if (this.#reported === "idle") return undefined;
      this.#reported = "idle";
      return { type: "activity", idle: true };
    }
    if (!this.#isDue(now)) return undefined;
    this.#reported = "active";
    this.#reportedAt = now;
    return { type: "activity" };
  }

  /** In how many milliseconds the user will be idle; undefined if that is nothing to report. */
  idleInMs(now: number): number | undefined {
    const isAhead = this.#isTracking && this.#inputAt !== undefined && !this.#isIdle(now);
    return isAhead ? (this.#inputAt ?? 0) + this.#idleAfterMs - now : undefined;
  }

  #isIdle(now: number): boolean {
    return now - (this.#inputAt ?? -Infinity) >= this.#idleAfterMs;
  }

  #isDue(now: number): boolean {
    const inputAt = this.#inputAt ?? -Infinity;
    if (this.#reported === "idle") return true;
    if (this.#reported === undefined && this.#isNeeded) return true;
    return inputAt > this.#reportedAt && now - this.#reportedAt >= REPORT_INTERVAL_MS && now - inputAt < REPORT_INTERVAL_MS;
  }
}
