// This tab among the tabs of the same user: leader or follower, and the changes between the two.

import { Election } from "./election.ts";
import type { ChannelLike, LocksLike } from "./environment.ts";
import { ForwardingLink } from "./forwarding-link.ts";
import type { LinkStart } from "./link.ts";
import { TabFollower } from "./tab-follower.ts";
import { TabLeader } from "./tab-leader.ts";
import type { FollowerMessage, LeaderMessage, TabMessage } from "./tab-messages.ts";

export interface TabGroupStart extends LinkStart {
  /** Tabs with the same name share a connection. */
  readonly name: string;
  readonly locks: LocksLike;
  readonly openChannel: (name: string) => ChannelLike;
}

export class TabGroup extends ForwardingLink<TabLeader | TabFollower> {
  readonly #start: TabGroupStart;
  readonly #tabId: string;
  readonly #election: Election;
  #channel: ChannelLike | undefined;
  #sessionId: string | undefined;

  constructor(start: TabGroupStart) {
    super(start.options.inputAt);
    this.#start = start;
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

  open(): void {
    if (this.#channel) return;
    this.#channel = this.#start.openChannel(this.#start.name);
    this.#channel.onmessage = (event) => {
      this.#receive(event.data as TabMessage);
    };
    this.#follow();
    this.#election.stand();
  }

  /** Another tab shall have the connection. Without another one it stays open. */
  override onFreeze(): void {
    if (!this.#channel) return; // in the back/forward cache
    if (this.target instanceof TabLeader && this.target.hasFollowers) this.#follow();
    this.target?.onFreeze();
    this.#election.withdraw();
  }

  override onResume(): void {
    if (!this.#channel) return;
    this.#election.stand();
    this.target?.onResume();
  }

  override onHide(isKept: boolean): void {
    if (isKept) this.close(false);
    else this.target?.onHide(false);
  }

  close(isSignOut: boolean): void {
    this.#sessionId = this.target?.sessionId;
    this.target?.close(isSignOut);
    this.target = undefined;
    this.#election.withdraw();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #receive(message: TabMessage): void {
    if (message.to !== undefined && message.to !== this.#tabId) return;
    if (message.type === "input") this.inputAt = this.#start.env.now();
    // Another tab was elected while this one was frozen.
    if (message.type === "lead" && this.target instanceof TabLeader) this.#follow();
    else this.target?.receive(message);
  }

  #lead(): void {
    if (this.target instanceof TabLeader) return; // elected again, after it was frozen
    const continues = this.#leave();
    this.target = new TabLeader(this.#start, { ...this.#start.options, inputAt: this.inputAt, continues }, this.#post);
    this.target.open();
  }

  #follow(): void {
    const sessionId = this.#leave();
    this.target = new TabFollower({
      ...this.#start,
      sessionId,
      getInputAt: () => this.inputAt,
      post: this.#post,
      onSilence: () => {
        this.#election.seize();
      },
    });
    this.target.open();
  }

  /** Returns the session of the link that is left. */
  #leave(): string | undefined {
    const sessionId = this.target?.sessionId ?? this.#sessionId;
    this.target?.close(false);
    return sessionId;
  }

  readonly #post = (message: FollowerMessage | LeaderMessage, to?: string): void => {
    this.#channel?.postMessage({ ...message, from: this.#tabId, ...(to !== undefined && { to }) });
  };
}
