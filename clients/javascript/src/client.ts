// The client of an application: puts the parts together, and is all that the application sees of them.

import type { ConnectionOptions, ConnectionState } from "./connection.ts";
import { type Environment, globalEnvironment, type WebSocketConstructor } from "./environment.ts";
import { PresenceError } from "./errors.ts";
import { lastSeenAgo } from "./last-seen.ts";
import type { Link, LinkEvents, OpenSession, TabSharing } from "./link.ts";
import { type OwnStatus, OwnStatusStore } from "./own-status.ts";
import { listenToPage } from "./page.ts";
import type { CustomStatus, OwnRecord, PresenceRecord } from "./protocol.ts";
import { putCustomStatus } from "./rest.ts";
import { ServerClock } from "./server-clock.ts";
import { Session } from "./session.ts";
import { type Changes, Store } from "./store.ts";
import { type ExternalStore, Value } from "./value.ts";

export interface ConnectOptions {
  /** The server's WebSocket, such as `wss://presence.example.org/ws`. */
  readonly url: string;
  /**
   * A token of the signed-in user that is valid from now on; asked for at each connection. Null or undefined: the user
   * is signed out, and the client stops. If it throws or rejects it is asked again, after a while.
   */
  readonly getToken: ConnectionOptions["getToken"];
  /** After how long without an input the user is idle, in milliseconds: not longer than the server's `idle-after`. Default: 300,000. */
  readonly idleAfterMs?: number;
  /** `auto`: inputs of the page are reported. `manual`: only {@link PresenceClient.reportActivity}. Default: `auto` in a page, else `manual`. */
  readonly activity?: "auto" | "manual";
  /** `shareTabs()` of `presenced-client/tabs`: the tabs of one user share a connection. Without it each has its own. */
  readonly tabs?: TabSharing;
  /** Where the REST calls are; by default `url` without `/ws`. */
  readonly restUrl?: string;
  /** A `WebSocket` where there is no global one: Node before 22. */
  readonly WebSocket?: WebSocketConstructor;
  /** What went wrong and is repeated or can't be done; for logs. */
  readonly onError?: (error: PresenceError) => void;
  /** For tests. */
  readonly environment?: Environment;
}

/** Connects, and goes on connecting until it is closed. */
export function connect(options: ConnectOptions): PresenceClient {
  return new PresenceClient(options);
}

const IDLE_AFTER_MS = 300_000;

export class PresenceClient {
  /** Whether what is shown is what the server says. */
  readonly connection: ExternalStore<ConnectionState>;
  /** The user's own status. */
  readonly own: ExternalStore<OwnStatus>;
  readonly #env: Environment;
  readonly #options: ConnectOptions;
  readonly #clock: ServerClock;
  readonly #store: Store;
  readonly #own: OwnStatusStore;
  readonly #state: Value<ConnectionState>;
  readonly #stopListening: () => void;
  readonly #link: Link;
  #isClosed = false;

  constructor(options: ConnectOptions) {
    const env = (this.#env = options.environment ?? globalEnvironment(options.WebSocket));
    new URL(options.url); // throws a TypeError now rather than failing again and again
    this.#options = options;
    this.#clock = new ServerClock(env);
    this.own = this.#own = new OwnStatusStore(
      env,
      (customStatus) => this.#setStatus(customStatus),
      () => this.#link.isOpen,
    );
    this.connection = this.#state = new Value<ConnectionState>(env, { status: "connecting" });
    this.#store = new Store(env, () => this.#link);
    const isTracking = (options.activity ?? (env.document ? "auto" : "manual")) === "auto";
    this.#link = this.#makeLink(isTracking);
    this.#stopListening = listenToPage(env, isTracking, this.#link);
    this.#link.open();
  }

  /**
   * Watches users until the returned function is called. Calls back soon with those that are known already, then with
   * the records that change, those of one message together. Watches are counted: a user that is watched ten times is
   * one subscription.
   * @throws PresenceError `invalid_user_id`
   */
  watch(userIds: Iterable<string>, callback: (changes: Changes) => void): () => void {
    return this.#store.watch(userIds, callback);
  }

  /** The record of a watched user; undefined while it is not known, and for a user that an operator had forgotten. */
  get(userId: string): PresenceRecord | undefined {
    return this.#store.get(userId);
  }

  /** One user for UI libraries: watched as long as somebody is subscribed. */
  user(userId: string): ExternalStore<PresenceRecord | undefined> {
    return {
      subscribe: (listener) => this.watch([userId], listener),
      getSnapshot: () => this.get(userId),
    };
  }

  /**
   * Sets the custom status: shown in {@link own} at once, taken back if it fails. Waits for rate limits, and for up to
   * 30 s for a connection. If another one follows before the first is sent, both resolve with that. If the answer is lost
   * with the connection, and the custom status was set by anybody since, resolves with what the server has.
   * Rejects with a PresenceError: `store_unavailable`, `rate_limited`, `disconnected`, `stopped` or another code of the server.
   */
  updateCustomStatus(customStatus: CustomStatus): Promise<OwnRecord> {
    return this.#own.update(customStatus);
  }

  /** The user did something now. Inputs of a page are reported by themselves. */
  reportActivity(): void {
    this.#link.onInput(this.#env.now());
  }

  /** The server's time in milliseconds since 1970; undefined before the first connection. */
  serverNow(): number | undefined {
    return this.#clock.now();
  }

  /** "5 minutes ago" by the server's clock, "now" for a user who is present; undefined if never seen or not yet connected. */
  lastSeenAgo(record: PresenceRecord, locales?: Intl.LocalesArgument): string | undefined {
    const now = this.serverNow();
    return now === undefined ? undefined : lastSeenAgo(record, now, locales);
  }

  /** Leaves for good. If no other tab of the user is connected, others see it as signed out at once. */
  close(): void {
    if (this.#isClosed) return;
    this.#stop();
    this.#link.close(true);
    this.#state.set({ status: "stopped", reason: "closed" });
  }

  #stop(): void {
    this.#isClosed = true;
    this.#stopListening();
    this.#own.close();
  }

  #makeLink(isTracking: boolean): Link {
    const { url, getToken, idleAfterMs = IDLE_AFTER_MS, tabs, onError } = this.#options;
    const env = this.#env;
    const clock = this.#clock;
    // To open a page is to do something, unless it was opened in the background.
    const inputAt = isTracking && env.document?.visibilityState === "visible" ? env.now() : undefined;
    const options = { url, getToken, idleAfterMs, isTracking, inputAt };
    const events: LinkEvents = {
      onRecords: (records) => {
        this.#store.apply(records);
      },
      onOwn: (own) => {
        this.#own.apply(own);
      },
      onState: (state) => {
        this.#onState(state);
      },
      onError: (error) => onError?.(error),
    };
    const openSession: OpenSession = (sessionOptions, sessionEvents) => new Session(env, sessionOptions, clock, sessionEvents);
    const { userIds } = this.#store;
    return tabs ? tabs({ env, options, clock, events, userIds, openSession }) : openSession(options, events);
  }

  #onState(state: ConnectionState): void {
    if (this.#isClosed) return;
    const shown = this.#state.getSnapshot();
    if (state.status === "stopped") this.#stop();
    if (shown.status !== state.status || shown.reason !== state.reason) this.#state.set(Object.freeze({ ...state }));
    if (this.#link.isOpen) this.#own.onOpen();
  }

  async #setStatus(customStatus: CustomStatus): Promise<OwnRecord> {
    this.reportActivity(); // the server takes it as such
    if (this.#link.isOpen) return this.#link.setStatus(customStatus);
    const token = await this.#options.getToken();
    if (!token) throw new PresenceError("stopped", "signed_out");
    const restUrl = this.#options.restUrl ?? this.#options.url.replace(/^ws/, "http").replace(/\/ws$/, "");
    return putCustomStatus(this.#env, restUrl, token, customStatus);
  }
}
