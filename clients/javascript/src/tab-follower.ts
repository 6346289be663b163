// A tab that uses the connection of another one. It says what it wants, and believes what the leader tells it. A leader
// that does not answer (its process is suspended or hangs) is reported, so that this tab can take its place.

import { Deadline } from "./deadline.ts";
import type { Environment } from "./environment.ts";
import { PresenceError } from "./errors.ts";
import type { Link, LinkStart } from "./link.ts";
import type { AnyRecord, CustomStatus, OwnRecord } from "./protocol.ts";
import type { FollowerMessage, LeaderState, TabMessage } from "./tab-messages.ts";

export interface FollowerStart extends LinkStart {
  /** When the last input was in any tab, by {@link Environment.now}. */
  readonly getInputAt: () => number | undefined;
  /** The session of the last leader that is known. */
  readonly sessionId: string | undefined;
  readonly post: (message: FollowerMessage) => void;
  /** The leader does not answer. */
  readonly onSilence: () => void;
}

interface Waiting {
  readonly resolve: (own: OwnRecord) => void;
  readonly reject: (error: PresenceError) => void;
}

/** A visible tab asks so often, and the leader answers at once, however its timers are throttled. */
const ASK_INTERVAL_MS = 5000;
/** Answering takes a few milliseconds; a leader may be busy for longer. */
const ANSWER_TIMEOUT_MS = 1500;
/** One follower is the first to take the place of a silent leader; the others hear of it. */
const SEIZE_JITTER_MS = 1000;

export class TabFollower implements Link {
  readonly #env: Environment;
  readonly #start: FollowerStart;
  readonly #deadline: Deadline;
  readonly #waiting = new Map<number, Waiting>();
  #leader: string | undefined;
  #known: Partial<LeaderState> = {};
  #lastRequest = 0;
  #isAsking = false;

  constructor(start: FollowerStart) {
    this.#env = start.env;
    this.#start = start;
    this.#deadline = new Deadline(start.env);
    this.#known = { sessionId: start.sessionId };
  }

  get isOpen(): boolean {
    return this.#known.isOpen ?? false;
  }

  get sessionId(): string | undefined {
    return this.#known.sessionId;
  }

  open(): void {
    this.#hello();
  }

  watch(userIds: Iterable<string>): void {
    this.#start.post({ type: "watch", userIds: [...userIds] });
  }

  unwatch(userIds: Iterable<string>): void {
    this.#start.post({ type: "unwatch", userIds: [...userIds] });
  }

  onInput(): void {
    this.#start.post({ type: "input" });
    this.#ask();
  }

  onFreeze(): void {
    this.#deadline.clear();
  }

  /** It may have missed anything. */
  onResume(): void {
    this.#hello();
  }

  onHide(): void {
    this.close();
  }

  wake(): void {
    this.#start.post({ type: "wake" });
    this.#ask();
  }

  setStatus(customStatus: CustomStatus): Promise<OwnRecord> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#lastRequest, { resolve, reject });
      this.#start.post({ type: "setStatus", id: this.#lastRequest, customStatus });
      this.#ask();
    });
  }

  receive(message: TabMessage): void {
    const { from } = message;
    if (message.type === "lead") {
      this.#leader = from;
      this.#failWaiting();
      this.#hello();
      return;
    }
    if (message.type === "update") this.#leader ??= from; // an answer to the hello
    if (from !== this.#leader) return; // a leader that has lost its place, or another follower
    this.#isAsking = false;
    this.#askLater();
    switch (message.type) {
      case "update":
        this.#update(message);
        break;
      case "rollCall":
        this.#start.post({ type: "here" });
        break;
      case "answer":
        this.#take(message.id)?.resolve(message.own);
        break;
      case "refusal":
        this.#take(message.id)?.reject(new PresenceError(message.code, message.message, message.retryAfterMs));
    }
  }

  close(): void {
    this.#deadline.clear();
    this.#start.post({ type: "bye" });
    this.#failWaiting();
  }

  #hello(): void {
    const inputAt = this.#start.getInputAt();
    const inputAgoMs = inputAt === undefined ? null : this.#env.now() - inputAt;
    this.#start.post({ type: "hello", userIds: [...this.#start.userIds], inputAgoMs });
    this.#isAsking = false;
    this.#ask();
  }

  #update(update: Partial<LeaderState> & { records?: readonly AnyRecord[] }): void {
    const former = this.#known;
    this.#known = update;
    if (update.sessionId !== former.sessionId) this.#start.clock.restart();
    if (update.nowMs !== undefined) this.#start.clock.observe(update.nowMs);
    const { own, state, records } = update;
    if (own) this.#start.events.onOwn(own);
    if (records && records.length > 0) this.#start.events.onRecords(records);
    if (state && (state.status !== former.state?.status || update.isOpen !== former.isOpen)) this.#start.events.onState(state);
  }

  #ask(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#start.post({ type: "ask" });
    this.#deadline.setForAnswer(ANSWER_TIMEOUT_MS + this.#env.random() * SEIZE_JITTER_MS, () => {
      this.#isAsking = false;
      this.#start.onSilence();
    });
  }

  /** Hidden tabs leave that to others: nobody looks at them, and their timers are throttled. */
  #askLater(): void {
    this.#deadline.set(ASK_INTERVAL_MS, () => {
      if (this.#env.document?.visibilityState === "visible") this.#ask();
    });
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #failWaiting(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new PresenceError("disconnected"));
  }
}
