// What the tabs of one user tell each other over the channel. Objects cross by structured clone.

import type { ConnectionState } from "./connection.ts";
import type { AnyRecord, CustomStatus, OwnRecord } from "./protocol.ts";

export type TabMessage = { readonly from: string; readonly to?: string } & (FollowerMessage | LeaderMessage);

export type FollowerMessage =
  /** A tab is there, watches these users, and its last input was so long ago (null: none). */
  | { type: "hello"; userIds: readonly string[]; inputAgoMs: number | null }
  | { type: "watch" | "unwatch"; userIds: readonly string[] }
  | { type: "input" }
  | { type: "wake" }
  | { type: "setStatus"; id: number; customStatus: CustomStatus }
  | { type: "bye" }
  /** The answer to a roll call. */
  | { type: "here" }
  /** Answered at once, with an update. */
  | { type: "ask" };

export type LeaderMessage =
  /** This tab has the connection from now on; followers say hello. */
  | { type: "lead" }
  /** Followers answer; who doesn't until the next one has crashed. */
  | { type: "rollCall" }
  | ({ type: "update"; records?: readonly AnyRecord[] } & LeaderState)
  | { type: "answer"; id: number; own: OwnRecord }
  | { type: "refusal"; id: number; code: string; message: string; retryAfterMs: number | undefined };

/** What all tabs know of the connection. */
export interface LeaderState {
  readonly state: ConnectionState;
  readonly isOpen: boolean;
  readonly own: OwnRecord | undefined;
  readonly sessionId: string | undefined;
  /** The server's time, in milliseconds since 1970. */
  readonly nowMs: number | undefined;
}
