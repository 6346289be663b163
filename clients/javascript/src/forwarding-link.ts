// A link that passes everything on to another one, which takes its place for a time: which one, its subclasses decide.

import type { Link } from "./link.ts";
import type { CustomStatus, OwnRecord } from "./protocol.ts";

export abstract class ForwardingLink<Target extends Link> implements Link {
  protected target: Target | undefined;
  /** The last input that was told, by the clock of the environment. */
  protected inputAt: number | undefined;

  constructor(inputAt: number | undefined) {
    this.inputAt = inputAt;
  }

  abstract open(): void;
  abstract close(isSignOut: boolean): void;

  get isOpen(): boolean {
    return this.target?.isOpen ?? false;
  }

  watch(userIds: Iterable<string>): void {
    this.target?.watch(userIds);
  }

  unwatch(userIds: Iterable<string>): void {
    this.target?.unwatch(userIds);
  }

  onInput(at: number): void {
    this.inputAt = at;
    this.target?.onInput(at);
  }

  wake(): void {
    this.target?.wake();
  }

  onFreeze(): void {
    this.target?.onFreeze();
  }

  onResume(): void {
    this.target?.onResume();
  }

  onHide(isKept: boolean): void {
    this.target?.onHide(isKept);
  }

  setStatus(customStatus: CustomStatus): Promise<OwnRecord> {
    // An open link is one that has a target: the client asks before.
    return (this.target as Link).setStatus(customStatus);
  }
}
