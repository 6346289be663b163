// What the client needs of a connection: a session of its own, or one that tabs share.

import type { ConnectionOptions, ConnectionState } from "./connection.ts";
import type { Environment } from "./environment.ts";
import type { PresenceError } from "./errors.ts";
import type { AnyRecord, CustomStatus, OwnRecord } from "./protocol.ts";
import type { ServerClock } from "./server-clock.ts";

export interface Link {
  /** Whether the connection is open: a custom status can be set over it. */
  readonly isOpen: boolean;
  /** Connects, unless it does already. */
  open(): void;
  watch(userIds: Iterable<string>): void;
  unwatch(userIds: Iterable<string>): void;
  /** The user did something at this time of {@link Environment.now}. */
  onInput(at: number): void;
  /** The network may have changed, or the page was away. */
  wake(): void;
  /** The browser stops the page's timers and tasks. */
  onFreeze(): void;
  onResume(): void;
  /** The page is left. One that is kept may come back from the back/forward cache, and is opened again then. */
  onHide(isKept: boolean): void;
  /** Resolves once it is on the server's disk. Rejects with the server's code, or with `disconnected`. */
  setStatus(customStatus: CustomStatus): Promise<OwnRecord>;
  /**
   * Closes without an event; it can be opened again.
   * @param isSignOut the user leaves, and is not only away for a moment
   */
  close(isSignOut: boolean): void;
}

export interface LinkEvents {
  /** The records of one frame, not older than those before. */
  readonly onRecords: (records: readonly AnyRecord[]) => void;
  readonly onOwn: (own: OwnRecord) => void;
  readonly onState: (state: ConnectionState) => void;
  readonly onError: (error: PresenceError) => void;
}

export interface LinkOptions extends ConnectionOptions {
  readonly idleAfterMs: number;
  /** Whether the page reports activity by itself. */
  readonly isTracking: boolean;
  /** When the last input was, by {@link Environment.now}. */
  readonly inputAt: number | undefined;
  /** The session that this one continues: a lost one of the same user. */
  readonly continues?: string | undefined;
}

/** A link to one more session. */
export type OpenSession = (options: LinkOptions, events: LinkEvents) => SessionLink;

/** A link that is a session of this very page. */
export interface SessionLink extends Link {
  /** What a later session names to continue this one. */
  readonly sessionId: string | undefined;
  /** The record of a watched user as far as it is known. */
  get(userId: string): AnyRecord | undefined;
}

/** What makes a shared link of a session. */
export interface LinkStart {
  readonly env: Environment;
  readonly options: LinkOptions;
  readonly clock: ServerClock;
  readonly events: LinkEvents;
  /** The users that this page watches, as the link was told. */
  readonly userIds: ReadonlySet<string>;
  readonly openSession: OpenSession;
}

/** Made by `shareTabs` of `presenced-client/tabs`. */
export type TabSharing = (start: LinkStart) => Link;
