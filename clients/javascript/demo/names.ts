// The people of the demonstration: eight suggested names, and those that were typed in this browser.

import { isUserId } from "../src/user-id.ts";

export const SUGGESTED: readonly string[] = ["ada", "ben", "cleo", "dan", "eva", "finn", "gina", "hugo"];

const STORAGE_KEY = "presenced demonstration names";
/** More are no help in a demonstration. */
const TYPED_MAX = 24;

/** The names that were typed in any window of this browser, the oldest first. */
export function typedNames(): string[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]");
    const names = Array.isArray(stored) ? stored.filter(isUserId) : [];
    return names.filter((name) => !SUGGESTED.includes(name)).slice(-TYPED_MAX);
  } catch {
    return []; // no storage, or something else in it
  }
}

/** Keeps a name for all windows of this browser. */
export function keepName(name: string): void {
  if (SUGGESTED.includes(name)) return;
  const others = typedNames().filter((other) => other !== name);
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify([...others, name].slice(-TYPED_MAX)));
  } catch {
    // Without storage other windows don't list the name.
  }
}

/** Calls back when another window of this browser has kept a name. */
export function onNameKept(callback: () => void): void {
  addEventListener("storage", (event) => {
    if (event.key === STORAGE_KEY) callback();
  });
}

/** The address of this page as somebody. */
export function addressOf(name: string): string {
  return `?${new URLSearchParams({ user: name }).toString()}`;
}

/** Says at a field what is wrong with its name, and returns whether it is one. */
export function checkName(field: HTMLInputElement): boolean {
  const isName = isUserId(field.value.trim());
  field.setCustomValidity(isName ? "" : "A name has up to 128 bytes and no control characters.");
  if (!isName) field.reportValidity();
  return isName;
}
