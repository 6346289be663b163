// The user's own status: shown as it was set at once, taken back if the server does not take it.

import { Deadline } from "./deadline.ts";
import type { Environment } from "./environment.ts";
import { PresenceError } from "./errors.ts";
import type { CustomStatus, OwnRecord, Status } from "./protocol.ts";
import { isSame } from "./record.ts";
import { Value } from "./value.ts";

/** Frozen; the same object as long as nothing in it changes. */
export interface OwnStatus {
  /** What the user set, acknowledged or not; undefined before the server has said it. */
  readonly customStatus: CustomStatus | undefined;
  /** What others see or, while {@link isPending}, will probably see. */
  readonly status: Status | undefined;
  /** The custom status is not yet acknowledged. */
  readonly isPending: boolean;
  /** The last record that the server told. */
  readonly record: OwnRecord | undefined;
}

/** Sets the custom status by whatever way is open. Rejects with the server's code or with `disconnected`. */
export type SetStatus = (customStatus: CustomStatus) => Promise<OwnRecord>;

/** A custom status that is to be set. */
interface Wish {
  readonly customStatus: CustomStatus;
  readonly giveUpAt: number;
  /** The custom status before it was sent over a connection, which has not taken it yet. */
  before?: CustomStatus | undefined;
}

interface Caller {
  readonly resolve: (own: OwnRecord) => void;
  readonly reject: (error: PresenceError) => void;
}

/** A custom status is not set long after the user has seen it fail. */
const GIVE_UP_MS = 30_000;
/** Between attempts while there is no connection; a new connection ends the pause. */
const RETRY_MS = 5000;
const RATE_LIMIT_MS = 1000;

export class OwnStatusStore extends Value<OwnStatus> {
  readonly #env: Environment;
  readonly #setStatus: SetStatus;
  /** Whether it goes over a connection. */
  readonly #isOpen: () => boolean;
  readonly #pause: Deadline;
  #endPause: (() => void) | undefined;
  #isWaitingForConnection = false;
  #record: OwnRecord | undefined;
  /** The newest one that is not acknowledged. */
  #wish: Wish | undefined;
  /** Those who wait for the newest one, or for an older one that was never sent. */
  readonly #callers: Caller[] = [];
  #isRunning = false;
  #isClosed = false;

  constructor(env: Environment, setStatus: SetStatus, isOpen: () => boolean) {
    super(env, Object.freeze({ isPending: false } as OwnStatus));
    this.#env = env;
    this.#setStatus = setStatus;
    this.#isOpen = isOpen;
    this.#pause = new Deadline(env);
  }

  /** The server told this record. */
  apply(own: OwnRecord): void {
    if (this.#record && isSame(own, this.#record)) return;
    this.#record = Object.freeze(own);
    this.#show();
  }

  /** A connection is open: what waits for one is tried. */
  onOpen(): void {
    if (this.#isWaitingForConnection) this.#endPause?.();
  }

  /** Resolves once the custom status, or a newer one, is on the server's disk. */
  update(customStatus: CustomStatus): Promise<OwnRecord> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(new PresenceError("stopped"));
        return;
      }
      this.#wish = { customStatus, giveUpAt: this.#env.now() + GIVE_UP_MS };
      this.#callers.push({ resolve, reject });
      this.#show();
      this.onOpen(); // one that waits for a connection is superseded
      if (!this.#isRunning) void this.#run();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#endPause?.(); // the next attempt finds it closed
  }

  /** One attempt at a time, so that the newest custom status is the last one that the server hears. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#wish) {
      const wish: Wish = this.#wish;
      const callers = this.#callers.splice(0);
      try {
        const own = await this.#attempt(wish);
        if (this.#wish === wish) this.#wish = undefined;
        if (own.revision >= (this.#record?.revision ?? 0)) this.#record = Object.freeze(own);
        this.#show();
        for (const { resolve } of callers) resolve(own);
      } catch (cause) {
        const error = cause instanceof PresenceError ? cause : new PresenceError("token_failed", String(cause));
        const isLost = error.code === "disconnected";
        const pauseMs = isLost ? RETRY_MS : error.code === "rate_limited" ? (error.retryAfterMs ?? RATE_LIMIT_MS) : Infinity;
        if (this.#env.now() + pauseMs < wish.giveUpAt || (this.#wish !== wish && pauseMs < Infinity)) {
          this.#callers.unshift(...callers);
          if (!this.#isClosed) await this.#wait(pauseMs, isLost);
          continue;
        }
        if (this.#wish === wish) this.#wish = undefined;
        this.#show();
        for (const { reject } of callers) reject(error);
      }
    }
    this.#isRunning = false;
  }

  /**
   * What was sent and not answered may have been applied, and then replaced by what the user set on another device: that
   * must not be undone. The first record of the next connection tells: if the custom status is another one than before, that
   * is the answer; else it is sent again.
   */
  async #attempt(wish: Wish): Promise<OwnRecord> {
    if (this.#isClosed) throw new PresenceError("stopped");
    const { before } = wish;
    const record = this.#record as OwnRecord; // there is one before anything is sent
    const isOpen = this.#isOpen();
    if (before) {
      if (!isOpen) throw new PresenceError("disconnected");
      if (record.customStatus !== before) return record;
    }
    wish.before = isOpen ? record.customStatus : undefined;
    return this.#setStatus(wish.customStatus);
  }

  #wait(millis: number, isForConnection: boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#isWaitingForConnection = isForConnection;
      this.#endPause = () => {
        this.#isWaitingForConnection = false;
        this.#endPause = undefined;
        this.#pause.clear();
        resolve();
      };
      this.#pause.set(millis, this.#endPause);
    });
  }

  #show(): void {
    const record = this.#record;
    const wish = this.#wish?.customStatus;
    const next: OwnStatus = {
      customStatus: wish ?? record?.customStatus,
      status: wish === undefined || !record || record.status === "OFFLINE" ? record?.status : wish,
      isPending: wish !== undefined,
      record,
    };
    if (!isSame(next, this.getSnapshot())) this.set(Object.freeze(next));
  }
}
