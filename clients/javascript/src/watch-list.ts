// The users that are wanted against those that the server has on its list of this connection: which message to send
// next, and which of them can be resumed from a cursor. Pure: no time, no sockets.

import { type ClientMessage, MESSAGE_IDS_MAX_BYTES, WATCHED_MAX } from "./protocol.ts";
import { byteLength } from "./user-id.ts";

/** A cursor, and the users whose snapshot was complete when it was received. */
class Position {
  cursor: string | undefined;
  readonly covered = new Set<string>();
}

export class WatchList {
  readonly #wanted = new Set<string>();
  /** What the server has, after all that was sent: user id -> the request that added it. */
  readonly #sent = new Map<string, number>();
  /** Unanswered requests, by id. */
  readonly #requests = new Map<number, readonly string[]>();
  readonly #toResume = new Set<string>();
  readonly #toWatch = new Set<string>();
  readonly #toUnwatch = new Set<string>();
  /** From where the next connection resumes. */
  #position = new Position();
  /** Becomes the position with the first cursor of this connection. */
  #current = new Position();
  /** What this connection resumes from; all its requests name the same cursor. */
  #since: string | undefined;
  #limit = WATCHED_MAX;
  readonly #onDrop: (userId: string) => void;

  /** @param onDrop nothing will be told of this user any more: what is known gets old */
  constructor(onDrop: (userId: string) => void) {
    this.#onDrop = onDrop;
  }

  /** Whether records of this user are kept. */
  has(userId: string): boolean {
    return this.#wanted.has(userId) || this.#sent.has(userId);
  }

  /** Whether every wanted user's snapshot has arrived, but for those beyond a limit. */
  get isComplete(): boolean {
    return this.#requests.size === 0 && ((this.#toWatch.size === 0 && this.#toResume.size === 0) || this.#room() <= 0);
  }

  get hasRequests(): boolean {
    return this.#requests.size > 0;
  }

  watch(userIds: Iterable<string>): void {
    for (const id of userIds) {
      this.#wanted.add(id);
      if (!this.#toUnwatch.delete(id) && !this.#sent.has(id) && !this.#toResume.has(id)) this.#toWatch.add(id);
    }
  }

  unwatch(userIds: Iterable<string>): void {
    for (const id of userIds) {
      this.#wanted.delete(id);
      this.#toResume.delete(id);
      this.#toWatch.delete(id);
      if (this.#sent.has(id)) this.#toUnwatch.add(id);
      else this.#drop(id);
    }
  }

  /** A new connection: the server's list is empty. */
  onConnected(): void {
    this.#current = new Position();
    this.#limit = WATCHED_MAX;
    this.#since = this.#position.cursor;
    this.#toWatch.clear();
    for (const id of this.#wanted) (this.#position.covered.has(id) ? this.#toResume : this.#toWatch).add(id);
  }

  onDisconnected(): void {
    this.#sent.clear();
    this.#requests.clear();
    this.#toResume.clear();
    this.#toWatch.clear();
    for (const id of this.#toUnwatch) this.#drop(id);
    this.#toUnwatch.clear();
  }

  /** The message to send next, if there is one. The caller sends it, or loses the connection. */
  next(requestId: number): ClientMessage | undefined {
    if (this.#toUnwatch.size > 0) {
      const userIds = this.#take(this.#toUnwatch, Infinity);
      for (const id of userIds) this.#drop(id);
      return { type: "unwatch", userIds };
    }
    const isResume = this.#toResume.size > 0;
    const userIds = this.#take(isResume ? this.#toResume : this.#toWatch, this.#room());
    if (userIds.length === 0) return undefined;
    for (const id of userIds) this.#sent.set(id, requestId);
    this.#requests.set(requestId, userIds);
    return { type: "watch", id: requestId, userIds, ...(isResume && this.#since !== undefined && { since: this.#since }) };
  }

  /** The last frame of a snapshot has been applied. */
  onSnapshot(requestId: number, cursor: string): void {
    for (const id of this.#answered(requestId)) this.#current.covered.add(id);
    this.onCursor(cursor);
  }

  /** A frame with changes has been applied. */
  onCursor(cursor: string): void {
    this.#current.cursor = cursor;
    this.#position = this.#current;
  }

  /**
   * A request was refused: nothing was added.
   * @returns whether it was a request of this list
   */
  onRefused(requestId: number, code: string): boolean {
    if (!this.#requests.has(requestId)) return false;
    for (const id of this.#answered(requestId)) {
      this.#sent.delete(id);
      if (this.#toUnwatch.delete(id)) this.#drop(id);
      else if (code !== "invalid_user_id") this.#toWatch.add(id);
    }
    if (code === "too_many_watched") this.#limit = this.#sent.size;
    return true;
  }

  #room(): number {
    return this.#limit - this.#sent.size;
  }

  /** The users of a request that have not been unwatched since. */
  #answered(requestId: number): string[] {
    const userIds = this.#requests.get(requestId) ?? [];
    this.#requests.delete(requestId);
    return userIds.filter((id) => this.#sent.get(id) === requestId);
  }

  #drop(userId: string): void {
    this.#sent.delete(userId);
    this.#position.covered.delete(userId);
    this.#current.covered.delete(userId);
    this.#onDrop(userId);
  }

  #take(from: Set<string>, count: number): string[] {
    const taken: string[] = [];
    let bytes = 0;
    for (const id of from) {
      bytes += byteLength(JSON.stringify(id)) + 1;
      if (taken.length >= count || bytes > MESSAGE_IDS_MAX_BYTES) break;
      taken.push(id);
      from.delete(id);
    }
    return taken;
  }
}
