// The elements of the page that the program fills.

/** The element with this id, which must be there and of this type. */
export function element<T extends HTMLElement>(id: string, type: new () => T): T {
  return typed(document.getElementById(id), id, type);
}

/** The first element below another one that a selector finds. */
export function within<T extends HTMLElement>(parent: ParentNode, selector: string, type: new () => T): T {
  return typed(parent.querySelector(selector), selector, type);
}

function typed<T extends HTMLElement>(found: Element | null, name: string, type: new () => T): T {
  if (found instanceof type) return found;
  throw new Error(`the page has no ${name}`);
}

/** Sets a text only if it differs, so that assistive technology is not told of what has not changed. */
export function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
