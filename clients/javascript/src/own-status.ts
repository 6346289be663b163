// The user's own status: shown as chosen at once, taken back if the server does not take it.

import { Deadline } from "./deadline.ts";
import type { Environment } from "./environment.ts";
import { PresenceError } from "./errors.ts";
import type { CustomStatus, OwnRecord, Status } from "./protocol.ts";
import { isSame } from "./record.ts";
import { Value } from "./value.ts";

/** Frozen; the same object as long as nothing in it changes. */
export interface OwnStatus {
  /** What the user chose, acknowledged or not; undefined before the server has said it. */
  readonly customStatus: CustomStatus | undefined;
  /** What others see or, while {@link isPending}, will probably see. */
  readonly status: Status | undefined;
  /** The choice is not yet acknowledged. */
  readonly isPending: boolean;
  /** The last record that the server told. */
  readonly record: OwnRecord | undefined;
}

/** Sets the custom status by whatever way is open. Rejects with the server's code or with `disconnected`. */
export type SetStatus = (customStatus: CustomStatus) => Promise<OwnRecord>;

interface Choice {
  readonly customStatus: CustomStatus;
  readonly giveUpAt: number;
}

interface Caller {
  readonly resolve: (own: OwnRecord) => void;
  readonly reject: (error: PresenceError) => void;
}

/** A choice is not made long after the user has seen it fail. */
const GIVE_UP_MS = 30_000;
/** Between attempts while there is no connection; a new connection ends the pause. */
const RETRY_MS = 5000;
const RATE_LIMIT_MS = 1000;

export class OwnStatusStore extends Value<OwnStatus> {
  readonly #env: Environment;
  readonly #setStatus: SetStatus;
  readonly #pause: Deadline;
  #endPause: (() => void) | undefined;
  #isWaitingForConnection = false;
  #record: OwnRecord | undefined;
  /** The newest choice that is not acknowledged. */
  #choice: Choice | undefined;
  /** Those who wait for the newest choice, or for an older one that was never sent. */
  readonly #callers: Caller[] = [];
  #isRunning = false;
  #isClosed = false;

  constructor(env: Environment, setStatus: SetStatus) {
    super(env, Object.freeze({ customStatus: undefined, status: undefined, isPending: false, record: undefined }));
    this.#env = env;
    this.#setStatus = setStatus;
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

  /** Resolves once the choice, or a newer one, is on the server's disk. */
  update(customStatus: CustomStatus): Promise<OwnRecord> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(new PresenceError("stopped"));
        return;
      }
      this.#choice = { customStatus, giveUpAt: this.#env.now() + GIVE_UP_MS };
      this.#callers.push({ resolve, reject });
      this.#show();
      this.onOpen(); // a choice that waits for a connection is superseded
      if (!this.#isRunning) void this.#run();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#endPause?.(); // the next attempt finds it closed
  }

  /** One attempt at a time, so that the newest choice is the last one that the server hears. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#choice) {
      const choice: Choice = this.#choice;
      const callers = this.#callers.splice(0);
      try {
        if (this.#isClosed) throw new PresenceError("stopped");
        const own = await this.#setStatus(choice.customStatus);
        if (this.#choice === choice) this.#choice = undefined;
        if (own.revision >= (this.#record?.revision ?? 0)) this.#record = Object.freeze(own);
        this.#show();
        for (const { resolve } of callers) resolve(own);
      } catch (cause) {
        const error = cause instanceof PresenceError ? cause : new PresenceError("token_failed", String(cause));
        const pauseMs = this.#pauseMs(error, choice);
        if (pauseMs !== undefined) {
          this.#callers.unshift(...callers);
          if (!this.#isClosed) await this.#wait(pauseMs, error.code === "disconnected");
          continue;
        }
        if (this.#choice === choice) this.#choice = undefined;
        this.#show();
        for (const { reject } of callers) reject(error);
      }
    }
    this.#isRunning = false;
  }

  #pauseMs(error: PresenceError, choice: Choice): number | undefined {
    const isRetried = error.code === "rate_limited" || error.code === "disconnected";
    const pauseMs = error.code === "disconnected" ? RETRY_MS : (error.retryAfterMs ?? RATE_LIMIT_MS);
    const isInTime = this.#env.now() + pauseMs < choice.giveUpAt || this.#choice !== choice;
    return isRetried && isInTime ? pauseMs : undefined;
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
    const choice = this.#choice?.customStatus;
    const next: OwnStatus = {
      customStatus: choice ?? record?.customStatus,
      status: choice === undefined || !record || record.status === "OFFLINE" ? record?.status : choice,
      isPending: choice !== undefined,
      record,
    };
    if (!isSame(next, this.getSnapshot())) this.set(Object.freeze(next));
  }
}
