// Everything that the client takes from its surroundings: time, chance, sockets, the page. The only file that reads
// globals, so that tests own time and network. What is missing in a surrounding is undefined here.

/** The part of the standard `WebSocket` that is used; the package `ws` has it too. */
export interface WebSocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export interface ChannelLike {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

export interface LocksLike {
  request(name: string, options: LockOptions, callback: (lock: unknown) => unknown): Promise<unknown>;
}

/** What is used of `window` and `document`. */
export interface EventSourceLike {
  addEventListener(type: string, listener: (event: Event) => void, options?: AddEventListenerOptions): void;
  removeEventListener(type: string, listener: (event: Event) => void, isCapture: boolean): void;
}

export interface Environment {
  /** Milliseconds of a clock that nobody can set. In some browsers it stands still while the computer sleeps. */
  now(): number;
  /** By how much the computer's clock is ahead of that one: anybody can set it, and it goes on while the computer sleeps. */
  aheadMs(): number;
  setTimeout(callback: () => void, millis: number): unknown;
  clearTimeout(timer: unknown): void;
  queueMicrotask(callback: () => void): void;
  /** At least 0, below 1. */
  readonly random: () => number;
  /** Tells an error that a callback of the application threw. */
  reportError(error: unknown): void;
  readonly WebSocket: WebSocketConstructor | undefined;
  readonly fetch: typeof fetch | undefined;
  readonly window: EventSourceLike | undefined;
  readonly document: (EventSourceLike & { readonly visibilityState: string }) | undefined;
  readonly locks: LocksLike | undefined;
  openChannel: ((name: string) => ChannelLike) | undefined;
}

/** The environment of a page, of a worker or of Node. */
export function globalEnvironment(webSocket?: WebSocketConstructor): Environment {
  const root = globalThis as Partial<typeof globalThis>;
  const Channel = root.BroadcastChannel;
  return {
    now: () => performance.now(),
    aheadMs: () => Date.now() - performance.now(),
    setTimeout: (callback, millis) => setTimeout(callback, millis),
    clearTimeout: (timer) => {
      clearTimeout(timer as number);
    },
    queueMicrotask: (callback) => {
      queueMicrotask(callback);
    },
    random: () => Math.random(),
    reportError: (error) => {
      if (root.reportError) root.reportError(error);
      else console.error(error);
    },
    WebSocket: webSocket ?? root.WebSocket,
    fetch: root.fetch && ((...call) => fetch(...call)),
    window: root.document && root.window,
    document: root.document,
    locks: root.navigator?.locks,
    openChannel: Channel && ((name) => new Channel(name)),
  };
}
