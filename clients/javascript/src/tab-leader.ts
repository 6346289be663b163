// The tab that has the connection, for itself and for its followers. Alone, without a channel, it is the whole client.

import type { ConnectionState } from "./connection.ts";
import { Deadline } from "./deadline.ts";
import type { Environment } from "./environment.ts";
import type { PresenceError } from "./errors.ts";
import type { Link, LinkOptions, LinkStart, SessionLink } from "./link.ts";
import type { AnyRecord, CustomStatus, OwnRecord } from "./protocol.ts";
import type { ServerClock } from "./server-clock.ts";
import type { LeaderMessage, LeaderState, TabMessage } from "./tab-messages.ts";

/** A follower that crashes says no goodbye. A message of another one takes milliseconds, also if its timers are throttled. */
const ROLL_CALL_MS = 60_000;

type Post = (message: LeaderMessage, to?: string) => void;

export class TabLeader implements Link {
  readonly #env: Environment;
  readonly #clock: ServerClock;
  readonly #post: Post;
  readonly #session: SessionLink;
  /** The users that each follower watches. */
  readonly #followers = new Map<string, Set<string>>();
  /** Those that have not been heard of since the last roll call. */
  #silent = new Set<string>();
  readonly #rollCall: Deadline;
  /** How many tabs watch a user. */
  readonly #counts = new Map<string, number>();
  #state: ConnectionState = { status: "connecting" };
  #own: OwnRecord | undefined;

  constructor(start: LinkStart, options: LinkOptions, post: Post) {
    const { events } = start;
    this.#env = start.env;
    this.#clock = start.clock;
    this.#post = post;
    this.#rollCall = new Deadline(start.env);
    this.#session = start.openSession(options, {
      onRecords: (records) => {
        events.onRecords(records);
        this.#publish({ records });
      },
      onOwn: (own) => {
        this.#own = own;
        events.onOwn(own);
        this.#publish({});
      },
      onState: (state) => {
        this.#state = state;
        events.onState(state);
        this.#publish({});
      },
      onError: events.onError,
    });
    this.watch(start.userIds);
    post({ type: "lead" });
  }

  get isOpen(): boolean {
    return this.#session.isOpen;
  }

  get sessionId(): string | undefined {
    return this.#session.sessionId;
  }

  get hasFollowers(): boolean {
    return this.#followers.size > 0;
  }

  watch(userIds: Iterable<string>): void {
    const begun: string[] = [];
    for (const id of userIds) {
      const count = this.#counts.get(id) ?? 0;
      this.#counts.set(id, count + 1);
      if (count === 0) begun.push(id);
    }
    if (begun.length > 0) this.#session.watch(begun);
  }

  unwatch(userIds: Iterable<string>): void {
    const ended: string[] = [];
    for (const id of userIds) {
      const count = (this.#counts.get(id) ?? 0) - 1;
      if (count > 0) this.#counts.set(id, count);
      else if (this.#counts.delete(id)) ended.push(id);
    }
    if (ended.length > 0) this.#session.unwatch(ended);
  }

  open(): void {
    this.#session.open();
  }

  onInput(at: number): void {
    this.#session.onInput(at);
  }

  onFreeze(): void {
    this.#session.onFreeze();
  }

  onResume(): void {
    this.#session.onResume();
  }

  onHide(isKept: boolean): void {
    this.#session.onHide(isKept);
  }

  wake(): void {
    this.#session.wake();
  }

  setStatus(customStatus: CustomStatus): Promise<OwnRecord> {
    return this.#session.setStatus(customStatus);
  }

  receive(message: TabMessage): void {
    const { from } = message;
    this.#silent.delete(from);
    if (message.type === "hello") {
      this.#welcome(from, message.userIds);
      if (message.inputAgoMs !== null) this.#session.onInput(this.#env.now() - message.inputAgoMs);
      return;
    }
    const watched = this.#followers.get(from);
    if (!watched) {
      // It was taken for crashed, or has not yet heard of this leader.
      if (message.type === "here") this.#post({ type: "lead" }, from);
      return;
    }
    switch (message.type) {
      case "watch": {
        const begun = message.userIds.filter((id) => !watched.has(id) && watched.add(id));
        this.watch(begun);
        this.#publish({ records: this.#known(begun) }, from);
        break;
      }
      case "unwatch":
        this.unwatch(message.userIds.filter((id) => watched.delete(id)));
        break;
      case "input":
        this.onInput(this.#env.now());
        break;
      case "wake":
        this.wake();
        break;
      case "ask":
        this.#publish({}, from);
        break;
      case "setStatus":
        this.#setStatusOf(from, message.id, message.customStatus);
        break;
      case "bye":
        this.#drop(from);
    }
  }

  close(isSignOut: boolean): void {
    this.#rollCall.clear();
    this.#session.close(isSignOut && !this.hasFollowers);
  }

  #welcome(from: string, userIds: readonly string[]): void {
    if (!this.hasFollowers) this.#callLater();
    const former = this.#followers.get(from) ?? [];
    const watched = new Set(userIds);
    this.#followers.set(from, watched);
    this.watch(watched);
    this.unwatch(former);
    this.#publish({ records: this.#known(userIds) }, from);
  }

  #drop(follower: string): void {
    const watched = this.#followers.get(follower) ?? [];
    this.#followers.delete(follower);
    this.unwatch(watched);
  }

  #callLater(): void {
    this.#rollCall.set(ROLL_CALL_MS, () => {
      for (const follower of this.#silent) this.#drop(follower);
      this.#silent = new Set(this.#followers.keys());
      if (!this.hasFollowers) return;
      this.#post({ type: "rollCall" });
      this.#callLater();
    });
  }

  #setStatusOf(from: string, id: number, customStatus: CustomStatus): void {
    this.setStatus(customStatus).then(
      (own) => {
        this.#post({ type: "answer", id, own }, from);
      },
      (error: unknown) => {
        const { code, message, retryAfterMs } = error as PresenceError;
        this.#post({ type: "refusal", id, code, message, retryAfterMs }, from);
      },
    );
  }

  #known(userIds: readonly string[]): AnyRecord[] {
    return userIds.map((id) => this.#session.get(id)).filter((record) => record !== undefined);
  }

  #publish(update: { records?: readonly AnyRecord[] }, to?: string): void {
    if (!this.hasFollowers) return;
    const state: LeaderState = {
      state: this.#state,
      isOpen: this.isOpen,
      own: this.#own,
      sessionId: this.sessionId,
      nowMs: this.#clock.now(),
    };
    this.#post({ type: "update", ...update, ...state }, to);
  }
}
