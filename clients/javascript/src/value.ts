// A value that UI libraries can subscribe to.

import type { Environment } from "./environment.ts";

/** What React's `useSyncExternalStore` and others take. The snapshot keeps its identity until it changes. */
export interface ExternalStore<T> {
  /** Calls back after each change, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
  readonly getSnapshot: () => T;
}

export class Value<T> implements ExternalStore<T> {
  readonly #env: Environment;
  readonly #listeners = new Set<() => void>();
  #value: T;

  constructor(env: Environment, value: T) {
    this.#env = env;
    this.#value = value;
  }

  readonly getSnapshot = (): T => this.#value;

  readonly subscribe = (callback: () => void): (() => void) => {
    const listener = () => {
      callback();
    };
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };

  set(value: T): void {
    this.#value = value;
    for (const listener of [...this.#listeners]) guard(this.#env, listener);
  }
}

/** Calls the application: what it throws is reported and disturbs nobody else. */
export function guard(env: Environment, callback: () => void): void {
  try {
    callback();
  } catch (error) {
    env.reportError(error);
  }
}
