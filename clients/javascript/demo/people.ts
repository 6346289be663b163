// The list of people: a row each, with status and "last seen", and the changes as they come.

import type { Changes, PresenceClient, PresenceRecord, Status } from "../src/index.ts";
import { element, setText, within } from "./elements.ts";
import { addressOf } from "./names.ts";

const CHANGES_MAX = 8;
const WORDS: Readonly<Record<Status, string>> = {
  ONLINE: "ONLINE",
  IDLE: "IDLE",
  DO_NOT_DISTURB: "DO NOT DISTURB",
  OFFLINE: "OFFLINE",
};

interface Row {
  readonly item: HTMLLIElement;
  readonly status: HTMLElement;
  readonly seen: HTMLElement;
  record: PresenceRecord | undefined;
}

export class People {
  readonly #client: PresenceClient;
  readonly #ownName: string;
  readonly #list = element("people", HTMLUListElement);
  readonly #template = element("person", HTMLTemplateElement);
  readonly #changes = element("changes", HTMLOListElement);
  readonly #rows = new Map<string, Row>();

  constructor(client: PresenceClient, ownName: string) {
    this.#client = client;
    this.#ownName = ownName;
  }

  /** Shows these people too. */
  show(names: Iterable<string>): void {
    const added = [...new Set(names)].filter((name) => !this.#rows.has(name));
    if (added.length === 0) return;
    for (const name of added) this.#add(name);
    this.#client.watch(added, (changes) => {
      this.#apply(changes);
    });
  }

  /** What is shown is not, or is again, what the server says. */
  setOutdated(isOutdated: boolean): void {
    this.#list.classList.toggle("outdated", isOutdated);
  }

  /** "5 minutes ago" becomes "6 minutes ago". */
  refresh(): void {
    for (const row of this.#rows.values()) setText(row.seen, this.#lastSeen(row.record));
  }

  #add(name: string): void {
    const part = document.importNode(this.#template.content, true);
    const item = within(part, ".person", HTMLLIElement);
    const link = within(item, ".open", HTMLAnchorElement);
    const row = {
      item,
      status: within(item, ".status", HTMLElement),
      seen: within(item, ".seen", HTMLElement),
      record: undefined,
    };
    item.dataset["user"] = name;
    within(item, ".avatar", HTMLElement).textContent = String.fromCodePoint(name.codePointAt(0) ?? 32);
    within(item, ".name", HTMLElement).textContent = name;
    within(item, ".you", HTMLElement).hidden = name !== this.#ownName;
    link.href = addressOf(name);
    link.setAttribute("aria-label", `open as ${name} in another window`);
    link.hidden = name === this.#ownName;
    this.#rows.set(name, row);
    this.#list.append(part);
    this.#fill(row);
  }

  #apply(changes: Changes): void {
    for (const [name, record] of changes) {
      const row = this.#rows.get(name);
      if (!row || row.record === record) continue;
      const before = row.record?.status;
      row.record = record;
      this.#fill(row);
      if (before && record && record.status !== before) this.#tell(row, name, before, record.status);
    }
  }

  #fill({ item, status, seen, record }: Row): void {
    const shown = record?.status;
    if (shown) item.dataset["status"] = status.dataset["status"] = shown;
    else {
      delete item.dataset["status"];
      delete status.dataset["status"];
    }
    setText(status, shown ? WORDS[shown] : "…");
    setText(seen, this.#lastSeen(record));
  }

  #tell({ item }: Row, name: string, before: Status, now: Status): void {
    item.classList.remove("changed");
    item.getBoundingClientRect(); // lays the row out, so that the animation begins anew
    item.classList.add("changed");
    const time = document.createElement("time");
    time.textContent = new Date(this.#client.serverNow() ?? Date.now()).toLocaleTimeString("en-GB");
    const who = document.createElement("bdi");
    who.textContent = name;
    const line = document.createElement("li");
    line.append(time, " ", who, `: ${WORDS[before]} → ${WORDS[now]}`);
    this.#changes.prepend(line);
    while (this.#changes.children.length > CHANGES_MAX) this.#changes.lastElementChild?.remove();
  }

  #lastSeen(record: PresenceRecord | undefined): string {
    if (!record) return "";
    if (record.status !== "OFFLINE") return "here now";
    const ago = this.#client.lastSeenAgo(record, "en");
    return ago === undefined ? "never seen" : `last seen ${ago}`;
  }
}
