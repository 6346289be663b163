// This tab among the tabs of the same user: leader or follower, and the changes between the two.

import { Election } from "./election.ts";
import type { ChannelLike, LocksLike } from "./environment.ts";
import type { Link, LinkStart } from "./link.ts";
import type { CustomStatus, OwnRecord } from "./protocol.ts";
import { TabFollower } from "./tab-follower.ts";
import { TabLeader } from "./tab-leader.ts";
import type { FollowerMessage, LeaderMessage, TabMessage } from "./tab-messages.ts";

export interface TabGroupStart extends LinkStart {
  /** Tabs with the same name share a connection. */
  readonly name: string;
  readonly locks: LocksLike;
  readonly openChannel: (name: string) => ChannelLike;
}

export class TabGroup implements Link {
  readonly #start: TabGroupStart;
  readonly #tabId: string;
  readonly #election: Election;
  #channel: ChannelLike | undefined;
  #link: TabLeader | TabFollower | undefined;
  #sessionId: string | undefined;
  /** The last input in this tab or, as far as it was told, another. */
  #inputAt: number | undefined;

  constructor(start: TabGroupStart) {
    this.#start = start;
    this.#inputAt = start.options.inputAt;
    this.#tabId = start.env.random().toString(36).slice(2) + start.env.now().toString(36);
    this.#election = new Election(start.locks, start.name, {
      onElected: () => {
        this.#lead();
      },
      onDeposed: () => {
        this.#follow();
        this.#election.stand();
      },
    });
  }

  get isOpen(): boolean {
    return this.#link?.isOpen ?? false;
  }

  open(): void {
    if (this.#link) return;
    this.#channel = this.#start.openChannel(this.#start.name);
    this.#channel.onmessage = (event) => {
      this.#receive(event.data as TabMessage);
    };
    this.#follow();
    this.#election.stand();
  }

  watch(userIds: Iterable<string>): void {
    this.#link?.watch(userIds);
  }

  unwatch(userIds: Iterable<string>): void {
    this.#link?.unwatch(userIds);
  }

  onInput(at: number): void {
    this.#inputAt = at;
    this.#link?.onInput(at);
  }

  wake(): void {
    this.#link?.wake();
  }

  setStatus(customStatus: CustomStatus): Promise<OwnRecord> {
    // An open link is one that exists: the client asks before.
    return (this.#link as Link).setStatus(customStatus);
  }

  /** Another tab shall have the connection. Without another one it stays open. */
  onFreeze(): void {
    if (this.#link instanceof TabLeader && this.#link.hasFollowers) this.#follow();
    this.#link?.onFreeze();
    this.#election.withdraw();
  }

  onResume(): void {
    this.#election.stand();
    this.#link?.onResume();
  }

  onHide(isKept: boolean): void {
    if (isKept) this.close(false);
    else this.#link?.onHide(false);
  }

  close(isSignOut: boolean): void {
    this.#sessionId = this.#link?.sessionId;
    this.#link?.close(isSignOut);
    this.#link = undefined;
    this.#election.withdraw();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #receive(message: TabMessage): void {
    if (message.to !== undefined && message.to !== this.#tabId) return;
    if (message.type === "input") this.#inputAt = this.#start.env.now();
    // Another tab was elected while this one was frozen.
    if (message.type === "lead" && this.#link instanceof TabLeader) this.#follow();
    else this.#link?.receive(message);
  }

  #lead(): void {
    if (this.#link instanceof TabLeader) return; // elected again, after it was frozen
    const continues = this.#leave();
    this.#link = new TabLeader(this.#start, { ...this.#start.options, inputAt: this.#inputAt, continues }, this.#post);
    this.#link.open();
  }

  #follow(): void {
    const sessionId = this.#leave();
    this.#link = new TabFollower({
      ...this.#start,
      sessionId,
      getInputAt: () => this.#inputAt,
      post: this.#post,
      onSilence: () => {
        this.#election.seize();
      },
    });
    this.#link.open();
  }

  /** Returns the session of the link that is left. */
  #leave(): string | undefined {
    const sessionId = this.#link?.sessionId ?? this.#sessionId;
    this.#link?.close(false);
    return sessionId;
  }

  readonly #post = (message: FollowerMessage | LeaderMessage, to?: string): void => {
    this.#channel?.postMessage({ ...message, from: this.#tabId, ...(to !== undefined && { to }) });
  };
}
