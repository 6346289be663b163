// What one connection after another has to do for its tabs: watch users, hold their records, report activity, set the
// custom status. It compares what is wanted with what the server has been told and sends the difference, as fast as the
// server's limits allow. Who wants what is not its business.

import { ActivityReports } from "./activity.ts";
import { Connection } from "./connection.ts";
import { Deadline } from "./deadline.ts";
import type { Environment } from "./environment.ts";
import { PresenceError } from "./errors.ts";
import type { LinkEvents, LinkOptions, SessionLink } from "./link.ts";
import { type AnyRecord, type ClientMessage, CLOSE_SIGN_OUT, CLOSE_TO_RECONNECT, type CustomStatus, type OwnRecord, type ServerMessage } from "./protocol.ts";
import { SendBudget } from "./send-budget.ts";
import type { ServerClock } from "./server-clock.ts";
import { WatchList } from "./watch-list.ts";

/** Longer timers fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/** Until a request is repeated that the server could not answer. */
const RETRY_MS = 5000;

interface StatusRequest {
  readonly customStatus: CustomStatus;
  readonly resolve: (own: OwnRecord) => void;
  readonly reject: (error: PresenceError) => void;
}

export class Session implements SessionLink {
  readonly #env: Environment;
  readonly #clock: ServerClock;
  readonly #events: LinkEvents;
  readonly #connection: Connection;
  readonly #watchList: WatchList;
  readonly #activity: ActivityReports;
  readonly #records = new Map<string, AnyRecord>();
  readonly #statusToSend: StatusRequest[] = [];
  readonly #statusUnderWay = new Map<number, StatusRequest>();
  readonly #sendTimer: Deadline;
  readonly #activityTimer: Deadline;
  #budget: SendBudget;
  #own: OwnRecord | undefined;
  #sessionId: string | undefined;
  /** The session to continue, until that is sent. */
  #toContinue: string | undefined;
  /** {@link Environment.aheadMs} at the last input. */
  #aheadMs: number;
  #lastRequest = 0;
  #watchNotBefore = -Infinity;
  #isLive = false;
  #isBehind = false;

  constructor(env: Environment, options: LinkOptions, clock: ServerClock, events: LinkEvents) {
    this.#clock = clock;
    this.#env = env;
    this.#events = events;
    this.#sessionId = options.continues;
    this.#activity = new ActivityReports(options.idleAfterMs, options.isTracking, options.inputAt);
    this.#sendTimer = new Deadline(env);
    this.#activityTimer = new Deadline(env);
    this.#aheadMs = env.aheadMs();
    this.#budget = new SendBudget(env);
    this.#watchList = new WatchList((id) => this.#records.delete(id));
    this.#connection = new Connection(env, options, {
      onMessage: (message) => {
        this.#handle(message);
      },
      onClose: () => {
        this.#onClose();
      },
      onState: events.onState,
      onError: events.onError,
    });
  }

  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  open(): void {
    this.#connection.open();
  }

  close(isSignOut: boolean): void {
    this.#connection.close(isSignOut ? CLOSE_SIGN_OUT : CLOSE_TO_RECONNECT);
    this.#onClose();
  }

  /** The browser goes on answering pings. */
  onFreeze(): void {
    // stays as it is
  }

  onResume(): void {
    this.wake();
  }

  /** The browser closes the connection of a page that is not kept with 1001: that is the user's doing. */
  onHide(isKept: boolean): void {
    if (isKept) this.close(false);
  }

  wake(): void {
    this.#connection.wake(!this.#watchList.hasRequests && this.#statusUnderWay.size === 0);
  }

  get(userId: string): AnyRecord | undefined {
    return this.#records.get(userId);
  }

  watch(userIds: Iterable<string>): void {
    this.#watchList.watch(userIds);
    this.#send();
  }

  unwatch(userIds: Iterable<string>): void {
    this.#watchList.unwatch(userIds);
    this.#send();
  }

  onInput(at: number): void {
    this.#aheadMs = this.#env.aheadMs();
    this.#activity.onInput(at);
    this.#send();
  }

  setStatus(customStatus: CustomStatus): Promise<OwnRecord> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) reject(new PresenceError("disconnected"));
      else {
        this.#statusToSend.push({ customStatus, resolve, reject });
        this.#send();
      }
    });
  }

  #handle(message: ServerMessage): void {
    // Not a number if the message tells no time, or none was expected: nothing follows from that.
    const nowMs = Date.parse((message as { now: string }).now);
    const laterMs = nowMs - (this.#clock.now() as number);
    if (message.type === "welcome") this.#clock.restart();
    this.#clock.observe(nowMs);
    switch (message.type) {
      case "welcome":
        this.#onWelcome(message, laterMs);
        break;
      case "snapshot":
        this.#apply(message.users, true);
        if (message.done) this.#watchList.onSnapshot(message.id, message.cursor);
        break;
      case "presence":
        this.#apply(message.users, false);
        this.#watchList.onCursor(message.cursor);
        break;
      case "ok":
        this.#onOk(message);
        break;
      case "error":
        this.#onError(message);
        break;
      case "stale":
        this.#isBehind = message.stale;
        if (this.#isLive) this.#tellLive();
    }
    this.#send();
  }

  /** @param laterMs how much later the server's time is than expected, because the clock stood still or the server's was set */
  #onWelcome({ user, sessionId }: Extract<ServerMessage, { type: "welcome" }>, laterMs: number): void {
    if (this.#own && this.#own.userId !== user.userId) {
      this.#connection.stop("user_changed"); // records, cursors and tabs belong to the other one
      this.#onClose();
      return;
    }
    this.#toContinue = this.#sessionId;
    this.#sessionId = sessionId;
    this.#isLive = this.#isBehind = false;
    this.#budget = new SendBudget(this.#env);
    this.#watchNotBefore = -Infinity;
    this.#watchList.onConnected();
    // Both clocks must say so: each of them may have been set.
    const aheadMs = this.#env.aheadMs();
    this.#activity.onConnected(Math.min(laterMs, aheadMs - this.#aheadMs));
    this.#aheadMs = aheadMs;
    this.#applyOwn(user);
  }

  #onOk({ id = 0, user }: Extract<ServerMessage, { type: "ok" }>): void {
    if (user && user.revision >= (this.#own?.revision ?? 0)) this.#applyOwn(user);
    const request = this.#takeStatusRequest(id);
    if (request && user) request.resolve(user);
  }

  #onError({ id = 0, code, message, retryAfterMs }: Extract<ServerMessage, { type: "error" }>): void {
    const error = new PresenceError(code, message, retryAfterMs);
    const request = this.#takeStatusRequest(id);
    if (request) {
      request.reject(error);
      return;
    }
    if (this.#watchList.onRefused(id, code)) this.#watchNotBefore = this.#env.now() + (retryAfterMs ?? RETRY_MS);
    this.#events.onError(error);
  }

  #takeStatusRequest(id: number): StatusRequest | undefined {
    const request = this.#statusUnderWay.get(id);
    this.#statusUnderWay.delete(id);
    return request;
  }

  #onClose(): void {
    this.#sendTimer.clear();
    this.#activityTimer.clear();
    this.#watchList.onDisconnected();
    const requests = [...this.#statusToSend, ...this.#statusUnderWay.values()];
    this.#statusToSend.length = 0;
    this.#statusUnderWay.clear();
    for (const { reject } of requests) reject(new PresenceError("disconnected"));
  }

  /** @param isSnapshot the records hold whatever revisions were known */
  #apply(users: readonly AnyRecord[], isSnapshot: boolean): void {
    const changed: AnyRecord[] = [];
    for (const user of users) {
      if (user.userId === this.#own?.userId && "customStatus" in user && (isSnapshot || !isOlder(user, this.#own)))
        this.#applyOwn(user as OwnRecord);
      if (!this.#watchList.has(user.userId)) continue;
      const known = this.#records.get(user.userId);
      if (known && !isSnapshot && isOlder(user, known)) continue;
      this.#records.set(user.userId, user);
      changed.push(user);
    }
    if (changed.length > 0) this.#events.onRecords(changed);
  }

  #applyOwn(own: OwnRecord): void {
    this.#activity.onOwnRecord(own, this.#env.now());
    this.#own = own;
    this.#events.onOwn(own);
  }

  #tellLive(): void {
    this.#isLive = true;
    this.#events.onState({ status: this.#isBehind ? "stale" : "live" });
  }

  /** Sends all that there is to send, as far as the limits allow. */
  #send(): void {
    if (!this.isOpen) return;
    const now = this.#env.now();
    this.#sendTimer.clear();
    for (;;) {
      const waitMs = this.#budget.waitMs();
      if (waitMs > 0) {
        this.#sendLater(waitMs);
        break;
      }
      const message = this.#next(now);
      if (!message) break;
      this.#budget.take(this.#connection.send(message));
    }
    if (!this.#isLive && this.#watchList.isComplete) this.#tellLive();
    this.#activityTimer.set(Math.min(this.#activity.dueInMs(now), TIMER_MAX_MS), () => {
      this.#send();
    });
  }

  #next(now: number): ClientMessage | undefined {
    const sessionId = this.#toContinue; // must be the first message
    if (sessionId) {
      this.#toContinue = undefined;
      return { type: "resume", sessionId };
    }
    const activity = this.#activity.next(now);
    if (activity) return activity;
    const request = this.#statusToSend.shift();
    if (request) {
      this.#statusUnderWay.set(++this.#lastRequest, request);
      return { type: "setStatus", id: this.#lastRequest, customStatus: request.customStatus };
    }
    if (now >= this.#watchNotBefore) return this.#watchList.next(++this.#lastRequest);
    this.#sendLater(this.#watchNotBefore - now);
    return undefined;
  }

  #sendLater(millis: number): void {
    this.#sendTimer.set(millis, () => {
      this.#send();
    });
  }
}

function isOlder(user: AnyRecord, known: AnyRecord): boolean {
  return user.revision > 0 && user.revision < known.revision;
}
