// One connection to the server, again and again: tokens, sockets, backoff, detection of half-open connections. It knows
// nothing of users or records: what arrives goes to its handlers in order.

import { Deadline } from "./deadline.ts";
import type { Environment, WebSocketLike } from "./environment.ts";
import { PresenceError } from "./errors.ts";
import { type ClientMessage, CLOSE_TO_RECONNECT, type ServerMessage } from "./protocol.ts";
import { decide, type Ending } from "./reconnect.ts";
import { byteLength } from "./user-id.ts";

export type ConnectionStatus =
  /** Gets a token, shakes hands, or waits for the first snapshots. */
  | "connecting"
  /** What is shown is what the server says. */
  | "live"
  /** Connected, but the server can't reach the rest of its cluster. */
  | "stale"
  /** Disconnected; connects again by itself. */
  | "waiting"
  /** Disconnected for good. */
  | "stopped";

export interface ConnectionState {
  readonly status: ConnectionStatus;
  /** Why it is `stopped`: the server's reason (`kicked`, `forgotten`, `abusive`, …), `signed_out`, `user_changed` or `closed`. */
  readonly reason?: string;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly getToken: () => Promise<string | null | undefined> | string | null | undefined;
}

export interface ConnectionHandlers {
  readonly onMessage: (message: ServerMessage) => void;
  /** An open connection has ended; whether and when there is another follows from the state. */
  readonly onClose: () => void;
  readonly onState: (state: ConnectionState) => void;
  readonly onError: (error: PresenceError) => void;
}

type Welcome = Extract<ServerMessage, { type: "welcome" }>;
type Goodbye = Extract<ServerMessage, { type: "goodbye" }>;

/** A token and a handshake take no longer, else they are tried again. */
const CONNECT_TIMEOUT_MS = 20_000;
/** The server may hold answers back for up to 5 s (its limit of watched ids). */
const PROBE_TIMEOUT_MS = 10_000;
/** After a sign that the network changed, nothing being under way. */
const QUICK_PROBE_TIMEOUT_MS = 4000;
/** A connection that was open for so long ends a series of failures. */
const STABLE_MS = 10_000;
/** Events of the page don't repeat an attempt or a probe sooner. */
const WAKE_PAUSE_MS = 2000;
/** A network that is back is back for many clients. */
const WAKE_JITTER_MS = 300;

export class Connection {
  readonly #env: Environment;
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  /** Of the attempt, of the delay before it, or of the silence of the open socket. */
  readonly #deadline: Deadline;
  #socket: WebSocketLike | undefined;
  /** Grows with each attempt and end: what belongs to an older one is ignored. */
  #attempt = 0;
  #phase: "ended" | "connecting" | "open" | "waiting" = "ended";
  #failures = 0;
  #attemptAt = -Infinity;
  #openedAt = 0;
  #receivedAt = 0;
  #probedAt = -Infinity;
  #silenceMs = 25_000;
  #goodbye: Goodbye | undefined;
  /** Waits for a delay that the server gave. */
  #isDelayFixed = false;

  constructor(env: Environment, options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#env = env;
    this.#options = options;
    this.#handlers = handlers;
    this.#deadline = new Deadline(env);
  }

  get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** Connects, unless it does already. */
  open(): void {
    if (this.#phase === "ended") void this.#connect();
  }

  /** Ends the connection and all attempts, without a word to the handlers, until it is opened again. */
  close(code: number): void {
    this.#end(code);
    this.#phase = "ended";
  }

  /** Returns the bytes that were sent, 0 if it is not open. */
  send(message: ClientMessage): number {
    if (!this.isOpen || this.#socket?.readyState !== 1) return 0;
    const text = JSON.stringify(message);
    this.#socket.send(text);
    return byteLength(text);
  }

  /**
   * The network may have changed, or the page was away: finds out soon whether the connection still is one.
   * @param isQuiet no answer is under way that the server may hold back
   */
  wake(isQuiet: boolean): void {
    const now = this.#env.now();
    const isProbed = this.#receivedAt < this.#probedAt;
    if (this.#phase === "open" && !isProbed && now - this.#receivedAt >= WAKE_PAUSE_MS)
      this.#probe(isQuiet ? QUICK_PROBE_TIMEOUT_MS : PROBE_TIMEOUT_MS);
    if (this.#phase === "waiting" && !this.#isDelayFixed && now - this.#attemptAt >= WAKE_PAUSE_MS)
      this.#wait(this.#env.random() * WAKE_JITTER_MS, false);
  }

  async #connect(): Promise<void> {
    const attempt = ++this.#attempt;
    this.#phase = "connecting";
    this.#attemptAt = this.#env.now();
    this.#goodbye = undefined;
    this.#deadline.setForAnswer(CONNECT_TIMEOUT_MS, () => {
      this.#lose();
    });
    this.#handlers.onState({ status: "connecting" });
    try {
      const token = await this.#options.getToken();
      if (attempt !== this.#attempt) return;
      if (!token) {
        this.stop("signed_out");
        return;
      }
      if (!this.#env.WebSocket) throw new Error("pass a WebSocket to connect()");
      this.#socket = new this.#env.WebSocket(this.#options.url, ["presence.v1", `bearer.${token}`]);
    } catch (cause) {
      if (attempt !== this.#attempt) return;
      this.#handlers.onError(new PresenceError("token_failed", String(cause), undefined, { cause }));
      this.#lose();
      return;
    }
    this.#socket.onmessage = (event: { data: string }) => {
      if (attempt === this.#attempt) this.#receive(event.data);
    };
    this.#socket.onclose = (event: { code: number }) => {
      if (attempt === this.#attempt) this.#lose(event.code);
    };
    this.#socket.onerror = () => undefined; // a close event follows; `ws` throws if nobody listens
  }

  #receive(data: string): void {
    this.#receivedAt = this.#env.now();
    try {
      const message = JSON.parse(data) as ServerMessage;
      if (message.type === "welcome") this.#welcome(message);
      if (message.type === "goodbye") this.#goodbye = message;
      if (this.#phase === "open") this.#handlers.onMessage(message);
    } catch (cause) {
      // A frame that is lost may have held a change: the next connection resumes from before it.
      this.#handlers.onError(new PresenceError("invalid_message", String(cause), undefined, { cause }));
      this.#lose();
    }
  }

  #welcome(message: Welcome): void {
    this.#phase = "open";
    this.#openedAt = this.#receivedAt;
    this.#silenceMs = message.pingSeconds * 1000;
    this.#watchSilence();
  }

  /** Frames only move `#receivedAt`; the timer looks at it when it fires, so a frame costs no timer. */
  #watchSilence(): void {
    const left = this.#receivedAt + this.#silenceMs - this.#env.now();
    if (left <= 0) this.#probe(PROBE_TIMEOUT_MS);
    else {
      this.#deadline.set(left, () => {
        this.#watchSilence();
      });
    }
  }

  /** Protocol pings are invisible to a page, so it asks by itself. Any frame is an answer. */
  #probe(timeoutMs: number): void {
    const probedAt = (this.#probedAt = this.#env.now());
    this.send({ type: "ping" });
    this.#deadline.setForAnswer(timeoutMs, () => {
      if (this.#receivedAt < probedAt) this.#lose();
      else this.#watchSilence();
    });
  }

  /** The connection, or the attempt, has ended without our doing. */
  #lose(code = 1006): void {
    const wasOpen = this.isOpen;
    const openMs = wasOpen ? this.#env.now() - this.#openedAt : 0;
    if (openMs >= STABLE_MS) this.#failures = 0;
    const ending: Ending = { code, goodbye: this.#goodbye, openMs, failures: this.#failures };
    const decision = decide(ending, this.#env.random);
    this.close(CLOSE_TO_RECONNECT);
    const attempt = this.#attempt;
    if (wasOpen) this.#handlers.onClose();
    this.#handlers.onState("stop" in decision ? { status: "stopped", reason: decision.stop } : { status: "waiting" });
    if ("stop" in decision || attempt !== this.#attempt) return; // closed by a handler
    this.#failures = decision.afterMs === 0 ? 0 : this.#failures + 1; // a token that expires in time is no failure
    this.#wait(decision.afterMs, decision.fixed);
  }

  #wait(millis: number, isFixed: boolean): void {
    this.#phase = "waiting";
    this.#isDelayFixed = isFixed;
    // Without a timer, which would be late in a background tab.
    if (millis === 0) void this.#connect();
    else this.#deadline.set(millis, () => void this.#connect());
  }

  /** Ends for good, and says so. */
  stop(reason: string): void {
    this.close(CLOSE_TO_RECONNECT);
    this.#handlers.onState({ status: "stopped", reason });
  }

  #end(code: number): void {
    this.#attempt += 1;
    this.#deadline.clear();
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket && socket.readyState < 2) socket.close(code);
  }
}
