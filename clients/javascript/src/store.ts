// The records that this tab shows, and who in it watches them. Watches are counted: the first of a user begins it, the
// last one ends it, and what begins and ends in one task is told together.

import type { Environment } from "./environment.ts";
import { PresenceError } from "./errors.ts";
import type { Link } from "./link.ts";
import type { AnyRecord, PresenceRecord } from "./protocol.ts";
import { isSame } from "./record.ts";
import { isUserId } from "./user-id.ts";
import { guard } from "./value.ts";

/** The records that changed, by user id; undefined for a user that an operator had forgotten. */
export type Changes = ReadonlyMap<string, PresenceRecord | undefined>;

type Watch = (changes: Changes) => void;

export class Store {
  readonly #env: Environment;
  readonly #getLink: () => Pick<Link, "watch" | "unwatch">;
  readonly #watches = new Map<string, Set<Watch>>();
  readonly #records = new Map<string, PresenceRecord>();
  /** The users whose watch has been told. */
  readonly #told = new Set<string>();
  /** The users whose first watch began or last one ended in this task. */
  readonly #toTell = new Set<string>();

  constructor(env: Environment, getLink: () => Pick<Link, "watch" | "unwatch">) {
    this.#env = env;
    this.#getLink = getLink;
  }

  get(userId: string): PresenceRecord | undefined {
    return this.#records.get(userId);
  }

  /** The watched users, as told. */
  get userIds(): ReadonlySet<string> {
    return this.#told;
  }

  /** @throws PresenceError `invalid_user_id` */
  watch(userIds: Iterable<string>, callback: (changes: Changes) => void): () => void {
    const ids = new Set(userIds);
    for (const id of ids) if (!isUserId(id)) throw new PresenceError("invalid_user_id", `no user id: ${JSON.stringify(id)}`);
    let isActive = true;
    const watch: Watch = (changes) => {
      if (isActive) guard(this.#env, () => { callback(changes); });
    };
    for (const id of ids) {
      const watches = this.#watches.get(id);
      if (watches) watches.add(watch);
      else this.#watches.set(id, new Set([watch]));
      this.#tellLater(id);
    }
    if ([...ids].some((id) => this.#records.has(id)))
      this.#env.queueMicrotask(() => {
        const known = [...ids].filter((id) => this.#records.has(id));
        watch(new Map(known.map((id) => [id, this.#records.get(id)])));
      });
    return () => {
      if (!isActive) return;
      isActive = false;
      for (const id of ids) {
        const watches = this.#watches.get(id);
        watches?.delete(watch);
        if (watches?.size === 0) this.#watches.delete(id);
        this.#tellLater(id);
      }
    };
  }

  /** Takes records over, whatever was known before, and calls each watch that they concern once. */
  apply(records: readonly AnyRecord[]): void {
    const changes = new Map<Watch, Map<string, PresenceRecord | undefined>>();
    for (const record of records) {
      const id = record.userId;
      const watches = this.#watches.get(id);
      const known = this.#records.get(id);
      if (!watches || (known && isSame(record, known))) continue;
      const shown = "removed" in record ? undefined : Object.freeze(record);
      if (shown) this.#records.set(id, shown);
      else if (!this.#records.delete(id)) continue;
      for (const watch of watches) {
        const changed = changes.get(watch);
        if (changed) changed.set(id, shown);
        else changes.set(watch, new Map([[id, shown]]));
      }
    }
    for (const [watch, changed] of changes) watch(changed);
  }

  #tellLater(userId: string): void {
    if (this.#toTell.size === 0)
      this.#env.queueMicrotask(() => {
        this.#tell();
      });
    this.#toTell.add(userId);
  }

  #tell(): void {
    const ids = [...this.#toTell];
    this.#toTell.clear();
    const ended = ids.filter((id) => !this.#watches.has(id) && this.#told.delete(id));
    const begun = ids.filter((id) => this.#watches.has(id) && !this.#told.has(id));
    for (const id of ids) if (!this.#watches.has(id)) this.#records.delete(id);
    for (const id of begun) this.#told.add(id);
    if (ended.length > 0) this.#getLink().unwatch(ended);
    if (begun.length > 0) this.#getLink().watch(begun);
  }
}
