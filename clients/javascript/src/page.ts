// The events of a page: input of the user, and what browsers do to pages that are hidden, frozen or left.

import type { Environment, EventSourceLike } from "./environment.ts";
import type { Link } from "./link.ts";

const INPUTS = "pointerdown pointermove keydown wheel touchstart";
/** Moves of a mouse come a hundred times a second. */
const INPUT_INTERVAL_MS = 1000;

/**
 * Tells a link of the page's events.
 * @param isTracking whether inputs are listened to
 * @returns removes the listeners
 */
export function listenToPage(env: Environment, isTracking: boolean, link: Link): () => void {
  const { document, window } = env;
  if (!document || !window) return () => undefined;
  const removals: (() => void)[] = [];
  const on = (target: EventSourceLike, types: string, listener: (event: Event) => void) => {
    for (const type of types.split(" ")) {
      target.addEventListener(type, listener, { capture: true, passive: true });
      removals.push(() => {
        target.removeEventListener(type, listener, true);
      });
    }
  };

  let inputAt = -Infinity;
  const onInput = () => {
    const now = env.now();
    if (!isTracking || now - inputAt < INPUT_INTERVAL_MS) return;
    inputAt = now;
    link.onInput(now);
  };
  const onWake = () => {
    link.wake();
  };
  on(document, INPUTS, onInput);
  on(document, "visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    onWake();
    onInput();
  });
  on(document, "freeze", () => {
    link.onFreeze();
  });
  on(document, "resume", () => {
    link.onResume();
  });
  on(window, "online offline focus", onWake);
  on(window, "pagehide", (event) => {
    link.onHide((event as PageTransitionEvent).persisted);
  });
  on(window, "pageshow", (event) => {
    if ((event as PageTransitionEvent).persisted) link.open();
  });
  return () => {
    for (const remove of removals) remove();
  };
}
