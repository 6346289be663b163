// An environment whose time, chance, page and tabs a test owns.

import type { ChannelLike, Environment, LocksLike } from "../../src/environment.ts";
import type { FakeServer } from "./server.ts";
import type { FakeTime } from "./time.ts";

/** A target of events, without the platform's. */
export class FakeTarget {
  visibilityState = "visible";
  readonly #listeners = new Map<string, Set<(event: Event) => void>>();

  addEventListener(type: string, listener: (event: Event) => void): void {
    this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener));
  }

  removeEventListener(type: string, listener: (event: Event) => void): void {
    this.#listeners.get(type)?.delete(listener);
  }

  dispatch(type: string, fields: object = {}): void {
    for (const listener of this.#listeners.get(type) ?? []) listener({ type, ...fields } as unknown as Event);
  }

  get listenerCount(): number {
    return [...this.#listeners.values()].reduce((sum, listeners) => sum + listeners.size, 0);
  }
}

export interface FakeEnvironment extends Environment {
  readonly document: FakeTarget;
  readonly window: FakeTarget;
  readonly errors: unknown[];
  /** What {@link Environment.random} returns. */
  chance: number;
  /** For how long the clock stood still while the computer slept. */
  stoodStillMs: number;
  /** By how much the computer's clock was set ahead. */
  wallOffsetMs: number;
}

export function pageEnvironment(time: FakeTime, server: FakeServer, browser?: FakeBrowser): FakeEnvironment {
  const errors: unknown[] = [];
  const env: FakeEnvironment = {
    stoodStillMs: 0,
    wallOffsetMs: 0,
    now: () => time.now() - env.stoodStillMs,
    aheadMs: () => env.stoodStillMs + env.wallOffsetMs,
    setTimeout: (callback, millis) => time.setTimeout(callback, millis),
    clearTimeout: (timer) => {
      time.clearTimeout(timer);
    },
    queueMicrotask: (callback) => {
      queueMicrotask(callback);
    },
    chance: 0.5,
    random: () => env.chance,
    reportError: (error) => errors.push(error),
    WebSocket: server.WebSocket,
    fetch: undefined,
    document: new FakeTarget(),
    window: new FakeTarget(),
    locks: undefined,
    openChannel: undefined,
    errors,
  };
  return browser ? Object.assign(env, browser.tab()) : env;
}

export function nodeEnvironment(time: FakeTime, server: FakeServer): Environment {
  return { ...pageEnvironment(time, server), document: undefined, window: undefined };
}

interface LockRequest {
  readonly callback: () => unknown;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  isGone: boolean;
}

/** The locks and channels that the tabs of one browser share. */
export class FakeBrowser {
  readonly #time: FakeTime;
  readonly #queues = new Map<string, LockRequest[]>();
  readonly #channels = new Set<FakeChannel>();

  constructor(time: FakeTime) {
    this.#time = time;
  }

  tab(): { locks: LocksLike; openChannel: (name: string) => ChannelLike; crash: () => void; suspended: { value: boolean }; random: () => number } {
    const own = new Set<LockRequest>();
    const channels = new Set<FakeChannel>();
    const suspended = { value: false };
    const chance = (++tabs * 0.37) % 1;
    return {
      suspended,
      random: () => chance,
      locks: { request: (name, options, callback) => this.#request(own, name, options, callback) },
      openChannel: (name) => {
        const channel = new FakeChannel(name, this.#time, this.#channels, suspended);
        channels.add(channel);
        return channel;
      },
      /** The tab is gone: its locks are free. */
      crash: () => {
        suspended.value = true;
        for (const channel of channels) channel.close();
        for (const request of own) this.#leave(request);
      },
    };
  }

  #request(own: Set<LockRequest>, name: string, options: LockOptions, callback: (lock: unknown) => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const request: LockRequest = {
        callback: () => callback({}),
        resolve: () => {
          resolve(undefined);
        },
        reject,
        isGone: false,
      };
      own.add(request);
      const queue = this.#queues.get(name) ?? [];
      this.#queues.set(name, queue);
      if (options.steal) {
        const holder = queue.shift();
        if (holder) {
          holder.isGone = true;
          holder.reject(new DOMException("stolen", "AbortError"));
        }
        queue.unshift(request);
        this.#grant(name);
        return;
      }
      options.signal?.addEventListener("abort", () => {
        if (queue[0] === request || request.isGone) return; // an abort does not release a held lock
        this.#leave(request);
        reject(new DOMException("aborted", "AbortError"));
      });
      queue.push(request);
      if (queue.length === 1) this.#grant(name);
    });
  }

  #grant(name: string): void {
    const queue = this.#queues.get(name) ?? [];
    const request = queue[0];
    if (!request) return;
    this.#time.setTimeout(() => {
      if (request.isGone || queue[0] !== request) return;
      void Promise.resolve(request.callback()).then(() => {
        this.#leave(request);
        request.resolve();
      });
    }, 1, false);
  }

  #leave(request: LockRequest): void {
    if (request.isGone) return;
    request.isGone = true;
    for (const [name, queue] of this.#queues) {
      const index = queue.indexOf(request);
      if (index < 0) continue;
      queue.splice(index, 1);
      if (index === 0) this.#grant(name);
    }
  }
}

let tabs = 0;

class FakeChannel implements ChannelLike {
  onmessage: ((event: MessageEvent) => void) | null = null;
  readonly name: string;
  readonly #time: FakeTime;
  readonly #all: Set<FakeChannel>;
  readonly #suspended: { value: boolean };
  readonly #backlog: unknown[] = [];
  #isPolling = false;

  constructor(name: string, time: FakeTime, all: Set<FakeChannel>, suspended: { value: boolean }) {
    this.name = name;
    this.#time = time;
    this.#all = all;
    this.#suspended = suspended;
    all.add(this);
  }

  postMessage(message: unknown): void {
    if (!this.#all.has(this) && this.#suspended.value) return; // the tab has crashed
    if (!this.#all.has(this)) throw new DOMException("closed", "InvalidStateError");
    const data: unknown = structuredClone(message);
    for (const channel of this.#all) {
      if (channel === this || channel.name !== this.name) continue;
      this.#time.setTimeout(() => {
        channel.#deliver(data);
      }, 1, false);
    }
  }

  close(): void {
    this.#all.delete(this);
  }

  #deliver(data: unknown): void {
    this.#backlog.push(data);
    this.#drain();
  }

  /** A suspended page gets its messages, in order, when it runs again. */
  #drain(): void {
    if (this.#suspended.value && this.#all.has(this)) {
      if (!this.#isPolling)
        this.#time.setTimeout(() => {
          this.#isPolling = false;
          this.#drain();
        }, 50, false);
      this.#isPolling = true;
      return;
    }
    const data = this.#backlog.shift();
    if (data === undefined || !this.#all.has(this)) return;
    this.onmessage?.({ data } as MessageEvent);
    this.#drain();
  }
}
