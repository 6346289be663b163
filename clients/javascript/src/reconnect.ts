// The decision after a connection has ended: stop for good, or connect again after a delay. Pure.

/** How a connection ended. */
export interface Ending {
  /** The close code; 1006 if there was none. */
  readonly code: number;
  readonly goodbye?: { readonly reason: string; readonly reconnectAfterMs?: number } | undefined;
  /** How long the connection was open after its `welcome`, in milliseconds; 0 if it never was. */
  readonly openMs: number;
  /** How many connections ended in a row before this one without having been open for a while. */
  readonly failures: number;
}

export type Decision =
  | { readonly stop: string }
  | {
      readonly afterMs: number;
      /** The delay is the server's: no event of the page may shorten it. */
      readonly fixed: boolean;
    };

/** A bug of the client, or an operator's decision: connecting again would only repeat it. */
const FINAL_CODES: ReadonlySet<number> = new Set([1002, 1003, 1007, 1009, 4003, 4008, 4010]);

/** A connection that was open for less counts as failed: its end must not be repeated without a pause. */
export const SETTLED_MS = 1000;
const BACKOFF_FIRST_MS = 1000; // the first attempt lies within the server's grace period
const BACKOFF_MAX_MS = 30_000;

/** Exponential backoff with full jitter, in milliseconds. */
export function backoff(failures: number, random: () => number): number {
  return random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 10));
}

export function decide(ending: Ending, random: () => number): Decision {
  const { code, goodbye, failures, openMs } = ending;
  if (FINAL_CODES.has(code)) return { stop: goodbye?.reason ?? `close_code_${code}` };
  if (!goodbye) return { afterMs: backoff(failures, random), fixed: false };
  const afterMs = goodbye.reconnectAfterMs;
  if (afterMs === undefined) return { stop: goodbye.reason };
  if (afterMs > 0) return { afterMs, fixed: true };
  // At once, unless the server ends each connection at once: then tokens are no good.
  return { afterMs: openMs < SETTLED_MS ? backoff(failures + 1, random) : 0, fixed: true };
}
