// The person of this window: the state of the connection, and the buttons of the own status.

import type { ConnectionState, CustomStatus, PresenceClient } from "../src/index.ts";
import { element, setText } from "./elements.ts";

const STATES: Readonly<Record<ConnectionState["status"], string>> = {
  connecting: "Connecting…",
  live: "Connected.",
  stale: "Connected, but what is shown may be out of date.",
  waiting: "Disconnected; connects again by itself.",
  stopped: "Disconnected for good",
};

const BUTTONS: readonly CustomStatus[] = ["ONLINE", "IDLE", "DO_NOT_DISTURB"];

export class Me {
  readonly #client: PresenceClient;
  readonly #connection = element("connection", HTMLParagraphElement);
  readonly #group = element("statuses", HTMLDivElement);
  readonly #failure = element("failure", HTMLParagraphElement);
  readonly #buttons: readonly (readonly [CustomStatus, HTMLButtonElement])[];

  constructor(client: PresenceClient, name: string) {
    this.#client = client;
    element("me-name", HTMLElement).textContent = name;
    this.#buttons = BUTTONS.map((status) => [status, this.#button(status)] as const);
    client.connection.subscribe(() => {
      this.#showConnection();
    });
    client.own.subscribe(() => {
      this.#showOwn();
    });
    this.#showConnection();
    this.#showOwn();
  }

  #button(status: CustomStatus): HTMLButtonElement {
    const button = this.#group.querySelector<HTMLButtonElement>(`[data-status="${status}"]`);
    if (!button) throw new Error(`the page has no button for ${status}`);
    button.addEventListener("click", () => {
      this.#failure.hidden = true;
      this.#client.updateCustomStatus(status).catch((error: unknown) => {
        this.#failure.hidden = false;
        this.#failure.textContent = `Your status was not changed: ${String(error)}`;
      });
    });
    return button;
  }

  #showConnection(): void {
    const { status, reason } = this.#client.connection.getSnapshot();
    setText(this.#connection, reason === undefined ? STATES[status] : `${STATES[status]}: ${reason}. Reload the page to connect again.`);
    for (const [, button] of this.#buttons) button.disabled = status === "stopped";
  }

  #showOwn(): void {
    const { customStatus, isPending } = this.#client.own.getSnapshot();
    this.#group.classList.toggle("pending", isPending);
    for (const [status, button] of this.#buttons) button.setAttribute("aria-pressed", String(status === customStatus));
  }
}
