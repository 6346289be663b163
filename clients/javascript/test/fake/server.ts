// A small server of the protocol for tests: users whose records the test sets, watch lists, cursors that resume, limits
// that close whoever exceeds them. It works in fake time.

import type { WebSocketLike } from "../../src/environment.ts";
import type { AnyRecord, ClientMessage, CustomStatus, OwnRecord, PresenceRecord, Status } from "../../src/protocol.ts";
import type { FakeTime } from "./time.ts";

export interface Received {
  readonly at: number;
  readonly message: ClientMessage;
}

interface Profile {
  status: Status;
  customStatus: CustomStatus;
  /** When the status last changed. */
  since: string | null;
  revision: number;
  removed: boolean;
}

const START_MS = Date.parse("2026-11-29T12:00:00.000Z");

export class FakeServer {
  readonly time: FakeTime;
  /** Handshakes are answered, and frames delivered, after so long. */
  latencyMs = 5;
  /** Nobody listens. */
  isDown = false;
  /** What is sent in either direction is lost, and nobody is told. */
  isUnreachable = false;
  /** The next `setStatus` and `watch` messages are answered with these errors. */
  readonly refusals: { type: "setStatus" | "watch"; code: string; retryAfterMs?: number }[] = [];
  readonly connections = new Set<FakeSocket>();
  readonly received: Received[] = [];
  readonly handshakes: string[] = [];
  /** Added to the clock of the server. */
  clockOffsetMs = 0;
  pingSeconds = 25;
  watchedMax = 5000;
  usersPerFrame = 3;
  setStatusDelayMs = 2;
  #run = 1;
  #readableRuns = new Set([1]);
  #revision = 1000;
  #sessions = 0;
  #log: string[] = [];
  readonly #profiles = new Map<string, Profile>();

  constructor(time: FakeTime) {
    this.time = time;
  }

  /** The class to give to the client. */
  get WebSocket(): new (url: string, protocols: string[]) => FakeSocket {
    const server = this; // eslint-disable-line @typescript-eslint/no-this-alias
    return class extends FakeSocket {
      constructor(_url: string, protocols: string[]) {
        super(server, protocols);
      }
    };
  }

  now(): string {
    return new Date(START_MS + this.clockOffsetMs + this.time.now()).toISOString();
  }

  messages<T extends ClientMessage["type"]>(type: T): Extract<ClientMessage, { type: T }>[] {
    return this.received.map(({ message }) => message).filter((message): message is Extract<ClientMessage, { type: T }> => message.type === type);
  }

  /** Changes a user, and tells the watchers. */
  set(userId: string, change: Partial<Omit<Profile, "revision" | "since">>): void {
    const profile = this.#profile(userId);
    if (change.status && change.status !== profile.status) profile.since = this.now();
    Object.assign(profile, { removed: false }, change, { revision: ++this.#revision });
    this.#log.push(userId);
    for (const connection of this.connections) connection.onChange(userId);
  }

  /** A backup is restored: all records are as given, at lower revisions than before. */
  restore(status: Status): void {
    for (const [index, profile] of [...this.#profiles.values()].entries()) Object.assign(profile, { status, revision: index + 1 });
  }

  /** What a watcher must know. */
  record(userId: string): AnyRecord {
    const { status, since, revision, removed } = this.#profile(userId);
    if (removed) return { userId, revision, removed: true };
    return { userId, status, since, lastSeen: null, lastActive: null, revision };
  }

  ownRecord(userId: string): OwnRecord {
    const { customStatus } = this.#profile(userId);
    const sessions = [...this.connections].filter((connection) => connection.userId === userId).length;
    return { ...(this.record(userId) as PresenceRecord), customStatus, sessions };
  }

  nextSession(): string {
    return `session-${++this.#sessions}`;
  }

  get cursor(): string {
    return `${this.#run}.${this.#log.length}`;
  }

  /** The users that changed since a cursor; undefined if it does not resume. */
  changedSince(cursor: string | undefined): Set<string> | undefined {
    const [run, position] = (cursor ?? "").split(".").map(Number);
    return run !== undefined && position !== undefined && this.#readableRuns.has(run) ? new Set(this.#log.slice(position)) : undefined;
  }

  /** Closes all connections in order, or loses them; cursors survive an orderly restart. */
  restart(isClean: boolean, reconnectAfterMs = 700): void {
    const before = this.#run;
    this.#run += 1;
    this.#readableRuns = new Set(isClean ? [before, this.#run] : [this.#run]);
    for (const connection of [...this.connections]) {
      if (isClean) connection.goodbye(1012, "restart", reconnectAfterMs);
      else connection.end(1006);
    }
  }

  setStatus(userId: string, customStatus: CustomStatus): OwnRecord {
    this.set(userId, { customStatus, status: customStatus });
    return this.ownRecord(userId);
  }

  #profile(userId: string): Profile {
    let profile = this.#profiles.get(userId);
    if (!profile) {
      profile = { status: "OFFLINE", customStatus: "ONLINE", since: null, revision: 0, removed: false };
      this.#profiles.set(userId, profile);
    }
    return profile;
  }
}

export class FakeSocket implements WebSocketLike {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly userId: string;
  readonly sessionId: string;
  closedWith: number | undefined;
  readonly watched = new Set<string>();
  readonly #server: FakeServer;
  readonly #dirty = new Set<string>();
  #messages: number[] = [];
  #isFlushScheduled = false;

  constructor(server: FakeServer, protocols: string[]) {
    this.#server = server;
    this.userId = (protocols[1] ?? "").replace("bearer.", "");
    this.sessionId = server.nextSession();
    server.handshakes.push(this.userId);
    this.#later(() => {
      if (server.isDown) this.end(1006);
      else this.#welcome();
    });
  }

  send(data: string): void {
    const message = JSON.parse(data) as ClientMessage;
    if (Buffer.byteLength(data) > 16 * 1024) this.goodbye(1009, "message_too_long");
    this.#later(() => {
      if (this.readyState !== 1 || this.#server.isUnreachable) return;
      this.#limit();
      this.#server.received.push({ at: this.#server.time.now(), message });
      this.#handle(message);
    });
  }

  close(code = 1005): void {
    this.closedWith = code;
    this.#server.connections.delete(this);
    this.readyState = 3;
  }

  /** The server or the network ends the connection. */
  end(code: number): void {
    this.#server.connections.delete(this);
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#server.time.setTimeout(() => this.onclose?.({ code } as never), this.#server.latencyMs, false);
  }

  goodbye(code: number, reason: string, reconnectAfterMs?: number): void {
    this.flush();
    this.tell({ type: "goodbye", reason, ...(reconnectAfterMs !== undefined && { reconnectAfterMs }) });
    this.end(code);
  }

  onChange(userId: string): void {
    if (!this.watched.has(userId) && userId !== this.userId) return;
    this.#dirty.add(userId);
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    this.#server.time.setTimeout(() => {
      this.flush();
    }, 1, false);
  }

  flush(): void {
    this.#isFlushScheduled = false;
    if (this.#dirty.size === 0 || this.readyState !== 1) return;
    const users = [...this.#dirty].map((id) => this.#record(id));
    this.#dirty.clear();
    this.tell({ type: "presence", cursor: this.#server.cursor, now: this.#server.now(), users });
  }

  /** Sends a frame; what is under way when the connection ends is lost. */
  tell(message: object): void {
    const data = JSON.stringify(message);
    const isGoodbye = data.includes('"goodbye"');
    this.#later(() => {
      if (!this.#server.isUnreachable && this.closedWith === undefined && (this.readyState === 1 || isGoodbye))
        this.onmessage?.({ data } as never);
    });
  }

  #welcome(): void {
    if (this.readyState !== 0 || this.#server.isUnreachable) return;
    this.readyState = 1;
    this.#server.connections.add(this);
    this.onopen?.();
    const { pingSeconds } = this.#server;
    const user = this.#server.ownRecord(this.userId);
    this.tell({ type: "welcome", sessionId: this.sessionId, user, now: this.#server.now(), pingSeconds });
  }

  #handle(message: ClientMessage): void {
    const server = this.#server;
    const refusal = server.refusals[0];
    if (refusal && refusal.type === message.type && "id" in message) {
      server.refusals.shift();
      this.tell({ ...refusal, type: "error", id: message.id, message: refusal.code });
      return;
    }
    switch (message.type) {
      case "watch":
        this.#watch(message.id, message.userIds, message.since);
        break;
      case "unwatch":
        for (const id of message.userIds) this.watched.delete(id);
        this.tell({ type: "ok" });
        break;
      case "setStatus": {
        const { id, customStatus } = message;
        server.time.setTimeout(() => {
          if (this.readyState !== 1) return;
          const user = server.setStatus(this.userId, customStatus);
          this.tell({ type: "ok", id, user, now: server.now() });
        }, server.setStatusDelayMs, false);
        break;
      }
      case "ping":
        this.tell({ type: "pong" });
        break;
      case "resume":
        this.tell({ type: "ok", resumed: true, user: server.ownRecord(this.userId), now: server.now() });
    }
  }

  #watch(id: number, userIds: string[], since: string | undefined): void {
    const server = this.#server;
    this.flush(); // what is known before the snapshot goes before it
    const added = userIds.filter((userId) => !this.watched.has(userId));
    if (this.watched.size + added.length > server.watchedMax) {
      this.tell({ type: "error", id, code: "too_many_watched", message: "" });
      return;
    }
    for (const userId of added) this.watched.add(userId);
    const changed = server.changedSince(since);
    const told = userIds.filter((userId) => !changed || changed.has(userId)).map((userId) => this.#record(userId));
    const { usersPerFrame } = server;
    for (let at = 0; at === 0 || at < told.length; at += usersPerFrame) {
      const done = at + usersPerFrame >= told.length;
      const users = told.slice(at, at + usersPerFrame);
      this.tell({ type: "snapshot", id, cursor: done ? server.cursor : "unfinished", now: server.now(), resumed: !!changed, ...(done && { done }), users });
    }
  }

  #record(userId: string): AnyRecord {
    return userId === this.userId ? this.#server.ownRecord(userId) : this.#server.record(userId);
  }

  /** 30 a second, with a burst of 100. */
  #limit(): void {
    const now = this.#server.time.now();
    this.#messages.push(now);
    this.#messages = this.#messages.filter((at) => now - at < 60_000);
    const excess = this.#messages.some((from, index) => this.#messages.length - index > 100 + ((now - from) * 30) / 1000);
    if (excess) this.goodbye(4008, "abusive");
  }

  #later(callback: () => void): void {
    this.#server.time.setTimeout(callback, this.#server.latencyMs, false);
  }
}
