// The demonstration page of the daemon: `presenced --demo` serves it, and gives a token to whoever asks. The name of
// the person is in the query of the address, so that two windows are two people.

import { connect, isUserId } from "../src/index.ts";
import { shareTabs } from "../src/tabs.ts";
import { element } from "./elements.ts";
import { Me } from "./me.ts";
import { addressOf, checkName, keepName, onNameKept, SUGGESTED, typedNames } from "./names.ts";
import { People } from "./people.ts";

/** Sooner than by default, so that one sees it happen. */
const IDLE_AFTER_MS = 60_000;
const REFRESH_MS = 1000;

const name = new URLSearchParams(location.search).get("user")?.trim() ?? "";
if (isUserId(name)) show(name);
else ask();

/** Asks who this window is. */
function ask(): void {
  element("sign-in", HTMLElement).hidden = false;
  const names = element("names", HTMLUListElement);
  for (const suggested of [...SUGGESTED, ...typedNames()]) {
    const link = document.createElement("a");
    link.href = addressOf(suggested);
    link.textContent = suggested;
    const item = document.createElement("li");
    item.append(link);
    names.append(item);
  }
  const field = element("own-name-input", HTMLInputElement);
  field.addEventListener("input", () => {
    field.setCustomValidity("");
  });
  element("own-name", HTMLFormElement).addEventListener("submit", (event) => {
    if (!checkName(field)) event.preventDefault();
  });
}

/** Connects as somebody, and shows everyone. */
function show(userId: string): void {
  keepName(userId);
  document.title = `${userId} · presenced demonstration`;
  for (const id of ["me", "everyone", "events"]) element(id, HTMLElement).hidden = false;
  const client = connect({
    url: new URL("/ws", location.href.replace(/^http/, "ws")).href,
    getToken: () => getToken(userId),
    idleAfterMs: IDLE_AFTER_MS,
    tabs: shareTabs({ userId }),
    onError: (error) => {
      console.warn(error);
    },
  });
  new Me(client, userId);
  const people = new People(client, userId);
  const showAll = () => {
    people.show([...SUGGESTED, userId, ...typedNames()]);
  };
  showAll();
  onNameKept(showAll);
  client.connection.subscribe(() => {
    people.setOutdated(client.connection.getSnapshot().status !== "live");
  });
  setInterval(() => {
    people.refresh();
  }, REFRESH_MS);
  const field = element("other-name-input", HTMLInputElement);
  field.addEventListener("input", () => {
    field.setCustomValidity("");
  });
  element("other-name", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    if (!checkName(field)) return;
    const other = field.value.trim();
    keepName(other);
    people.show([other]);
    field.value = "";
  });
}

/** Anybody gets a token for any name: that is what the daemon's `--demo` is for. */
async function getToken(userId: string): Promise<string> {
  const response = await fetch("/demo/token", { method: "POST", body: JSON.stringify({ userId }) });
  if (!response.ok) throw new Error(`no token: ${response.status} ${await response.text()}`);
  const { token } = (await response.json()) as { token: string };
  return token;
}
