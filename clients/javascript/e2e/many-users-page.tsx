// A list of 5,000 users in React, each of which watches one, and counts how often it renders.

import { memo, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "../src/index.ts";
import { PresenceProvider, usePresence } from "../src/react.ts";

const query = new URLSearchParams(location.search);
const ids = Array.from({ length: Number(query.get("count")) }, (_, index) => `user-${index}`);
const renders = new Map<string, number>();

// What the library does with a frame, without React's rendering, which follows it.
let handledMs = 0;
const inherited = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
Object.defineProperty(WebSocket.prototype, "onmessage", {
  set(handler: (event: MessageEvent) => void) {
    inherited?.set?.call(this, (event: MessageEvent) => {
      const startedAt = performance.now();
      handler(event);
      handledMs += performance.now() - startedAt;
    });
  },
});

const Person = memo(function Person({ userId }: { userId: string }): ReactNode {
  const record = usePresence(userId);
  renders.set(userId, (renders.get(userId) ?? 0) + 1);
  return <li className={record?.status ?? "unknown"}>{userId}</li>;
});

const client = connect({
  url: query.get("url") ?? "",
  getToken: async () => (await fetch(`/token?${query.toString()}`)).text(),
});
// Which users changed, and how often, whatever React makes of it.
const changes = new Map<string, number>();
client.watch(ids, (records) => {
  for (const id of records.keys()) changes.set(id, (changes.get(id) ?? 0) + 1);
});
createRoot(document.getElementById("list")!).render(
  <PresenceProvider client={client}>
    <ul>{ids.map((id) => <Person key={id} userId={id} />)}</ul>
  </PresenceProvider>,
);
Object.assign(globalThis, { client, renders, changes, takeHandledMs: () => [handledMs, (handledMs = 0)][0] });
