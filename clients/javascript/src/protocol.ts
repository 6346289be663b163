// The messages, records and close codes of the server, as its protocol document describes them, and the limits of
// one connection that a client must keep. No behaviour lives here.

/** What others see of a user. */
export type Status = "ONLINE" | "IDLE" | "DO_NOT_DISTURB" | "OFFLINE";

/** What a user wants to be shown as while present. */
export type CustomStatus = "ONLINE" | "IDLE" | "DO_NOT_DISTURB";

/** A user's presence. Frozen; the same object as long as nothing in it changes. Times are RFC 3339 by the server's clock. */
export interface PresenceRecord {
  readonly userId: string;
  readonly status: Status;
  /** When the status last changed; null for a user never seen. */
  readonly since: string | null;
  /** When the server last heard of the user, as of this record; null if never. */
  readonly lastSeen: string | null;
  /** When the user was last active, as of this record; null if never. */
  readonly lastActive: string | null;
  /** Grows with each published change of this user. */
  readonly revision: number;
  /** The server had no answer of its database: the custom status may be wrong. */
  readonly degraded?: true;
  /** The server can't reach the rest of its cluster: the record may be out of date. */
  readonly stale?: true;
  /** Only in the user's own record. */
  readonly customStatus?: CustomStatus;
  /** Only in the user's own record: connections and reports. */
  readonly sessions?: number;
}

/** A user that an operator had forgotten. */
export interface RemovedRecord {
  readonly userId: string;
  readonly revision: number;
  readonly removed: true;
}

export type AnyRecord = PresenceRecord | RemovedRecord;

/** The user's own record. */
export interface OwnRecord extends PresenceRecord {
  readonly customStatus: CustomStatus;
  readonly sessions: number;
}

export type ServerMessage =
  | { type: "welcome"; sessionId: string; user: OwnRecord; now: string; pingSeconds: number }
  | { type: "snapshot"; id: number; cursor: string; now: string; resumed: boolean; done?: boolean; users: AnyRecord[] }
  | { type: "presence"; cursor: string; now: string; users: AnyRecord[] }
  | { type: "ok"; id?: number; user?: OwnRecord; now?: string; resumed?: boolean }
  | { type: "error"; id?: number; code: string; message: string; retryAfterMs?: number }
  | { type: "stale"; stale: boolean }
  | { type: "goodbye"; reason: string; reconnectAfterMs?: number }
  | { type: "pong" };

export type ClientMessage =
  | { type: "watch"; id: number; userIds: string[]; since?: string }
  | { type: "unwatch"; userIds: string[] }
  | { type: "setStatus"; id: number; customStatus: CustomStatus }
  // JSON has no infinity: an input that never was is null there.
  | { type: "activity"; idle: boolean; agoMs: number }
  | { type: "resume"; sessionId: string }
  | { type: "ping" };

/** Closes with 1000 sign the user out; this code keeps the user present for the grace period. */
export const CLOSE_TO_RECONNECT = 3000;
export const CLOSE_SIGN_OUT = 1000;

/** The server allows 16 KiB a message; ids of one message take less, the rest is its other fields. */
export const MESSAGE_IDS_MAX_BYTES = 12_000;

/** Watched users of one connection, unless the operator set a lower limit. */
export const WATCHED_MAX = 5000;
