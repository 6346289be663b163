// `presenced-client/tabs`: the tabs of one user share one connection. Apart from the core, for pages that want it.

import { Deadline } from "./deadline.ts";
import { PresenceError } from "./errors.ts";
import { ForwardingLink } from "./forwarding-link.ts";
import type { Link, LinkOptions, LinkStart, TabSharing } from "./link.ts";
import { backoff } from "./reconnect.ts";
import { TabGroup } from "./tab-group.ts";
import { userOfToken } from "./token.ts";

export interface ShareTabsOptions {
  /** The user of the tokens, if that is known: a tab then needs a token only when it connects. */
  readonly userId?: string;
}

/** A token that was fetched to learn whose it is serves the connection if that follows at once. */
const TOKEN_FRESH_MS = 5000;

/**
 * Makes the tabs of one user in one browser share a connection: `connect({ …, tabs: shareTabs() })`. When the tab that
 * has it closes or is frozen another one takes over. Without `navigator.locks` or `BroadcastChannel` (pages without
 * HTTPS, Node) each tab has its own.
 */
export function shareTabs({ userId }: ShareTabsOptions = {}): TabSharing {
  return (start) => {
    const { locks, openChannel, document } = start.env;
    if (!document || !locks || !openChannel) return start.openSession(start.options, start.events);
    const makeGroup = (user: string, options: LinkOptions) =>
      new TabGroup({ ...start, options, name: `presenced ${start.options.url} ${user}`, locks, openChannel });
    if (userId !== undefined) return makeGroup(userId, start.options);
    return new IdentifiedLink(start, makeGroup);
  };
}

/** Learns from a token whose tabs these are, before it joins them: another tab of this browser may have another user. */
class IdentifiedLink extends ForwardingLink<Link> {
  readonly #start: LinkStart;
  readonly #makeGroup: (userId: string, options: LinkOptions) => Link;
  readonly #deadline: Deadline;
  /** Grows when what is under way is void. */
  #attempt = 0;

  constructor(start: LinkStart, makeGroup: (userId: string, options: LinkOptions) => Link) {
    super(start.options.inputAt);
    this.#start = start;
    this.#makeGroup = makeGroup;
    this.#deadline = new Deadline(start.env);
  }

  open(): void {
    if (this.target) this.target.open();
    else void this.#identify(0);
  }

  close(isSignOut: boolean): void {
    this.#attempt += 1;
    this.#deadline.clear();
    this.target?.close(isSignOut);
  }

  async #identify(failures: number): Promise<void> {
    const { env, options, events } = this.#start;
    const attempt = ++this.#attempt;
    try {
      const token = await options.getToken();
      if (attempt !== this.#attempt) return;
      if (token) this.#join(token);
      else events.onState({ status: "stopped", reason: "signed_out" });
    } catch (cause) {
      if (attempt !== this.#attempt) return;
      events.onError(new PresenceError("token_failed", String(cause), undefined, { cause }));
      this.#deadline.set(backoff(failures, env.random), () => void this.#identify(failures + 1));
    }
  }

  #join(token: string): void {
    const { env, options, events, openSession } = this.#start;
    const until = env.now() + TOKEN_FRESH_MS;
    let unused: string | undefined = token;
    const getToken = () => {
      const first = env.now() < until ? unused : undefined;
      unused = undefined;
      return first ?? options.getToken();
    };
    const joined = { ...options, getToken, inputAt: this.inputAt };
    const userId = userOfToken(token);
    this.target = userId === undefined ? openSession(joined, events) : this.#makeGroup(userId, joined);
    if (userId === undefined) this.target.watch(this.#start.userIds);
    this.target.open();
  }
}
