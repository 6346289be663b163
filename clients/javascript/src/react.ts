// Hooks for React. Rendering on a server needs no client: nothing is known there.

import { createContext, createElement, type ReactNode, useCallback, useContext, useMemo, useRef, useSyncExternalStore } from "react";
import type { ConnectionState } from "./connection.ts";
import type { PresenceClient } from "./client.ts";
import type { OwnStatus } from "./own-status.ts";
import type { CustomStatus, OwnRecord, PresenceRecord } from "./protocol.ts";
import { isUserId } from "./user-id.ts";

const ClientContext = createContext<PresenceClient | undefined>(undefined);

export interface PresenceProviderProps {
  /** From `connect`, made once outside of components or in an effect; undefined before that and on a server. */
  readonly client: PresenceClient | undefined;
  readonly children?: ReactNode;
}

export function PresenceProvider({ client, children }: PresenceProviderProps): ReactNode {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/** The client of the nearest provider. */
export function usePresenceClient(): PresenceClient | undefined {
  return useContext(ClientContext);
}

type Records = readonly (PresenceRecord | undefined)[];

const NOBODY: Records = [];
const UNSUBSCRIBED = () => undefined;

/**
 * The record of a user; undefined while it is not known. Watches the user as long as the component is mounted, and
 * renders only when the record changes. Null, undefined and ids that the server would not accept watch nobody.
 */
export function usePresence(userId: string | null | undefined): PresenceRecord | undefined {
  const client = usePresenceClient();
  const subscribe = useCallback(
    (listener: () => void) => (client && isUserId(userId) ? client.watch([userId], listener) : UNSUBSCRIBED),
    [client, userId],
  );
  const getSnapshot = () => (client && isUserId(userId) ? client.get(userId) : undefined);
  return useSyncExternalStore(subscribe, getSnapshot, () => undefined);
}

/** The records of several users, in their order. The array is the same as long as no record in it changes. */
export function usePresences(userIds: readonly string[]): Records {
  const client = usePresenceClient();
  const key = JSON.stringify(userIds);
  const ids = useMemo(() => JSON.parse(key) as string[], [key]);
  const shown = useRef(NOBODY);
  const subscribe = useCallback(
    (listener: () => void) => client?.watch(ids.filter(isUserId), listener) ?? UNSUBSCRIBED,
    [client, ids],
  );
  const getSnapshot = () => {
    const records = ids.map((id) => client?.get(id));
    const isSame = records.length === shown.current.length && records.every((record, index) => record === shown.current[index]);
    if (!isSame) shown.current = records;
    return shown.current;
  };
  return useSyncExternalStore(subscribe, getSnapshot, () => NOBODY);
}

const NOTHING_KNOWN: OwnStatus = { customStatus: undefined, status: undefined, isPending: false, record: undefined };

export interface OwnStatusHook extends OwnStatus {
  /** As the client's; rejects with `stopped` without a client. */
  readonly updateCustomStatus: (customStatus: CustomStatus) => Promise<OwnRecord>;
}

/** The user's own status, and the function that sets it. */
export function useOwnStatus(): OwnStatusHook {
  const client = usePresenceClient();
  const own = useSyncExternalStore(
    client?.own.subscribe ?? subscribeNever,
    client?.own.getSnapshot ?? getNothingKnown,
    getNothingKnown,
  );
  return useMemo(() => ({
    ...own,
    updateCustomStatus: (customStatus) =>
      client ? client.updateCustomStatus(customStatus) : Promise.reject(new Error("no presence client")),
  }), [client, own]);
}

const CONNECTING: ConnectionState = { status: "connecting" };
const subscribeNever = () => UNSUBSCRIBED;
const getNothingKnown = () => NOTHING_KNOWN;
const getConnecting = () => CONNECTING;

/** Whether what is shown is what the server says. */
export function useConnectionState(): ConnectionState {
  const client = usePresenceClient();
  return useSyncExternalStore(
    client?.connection.subscribe ?? subscribeNever,
    client?.connection.getSnapshot ?? getConnecting,
    getConnecting,
  );
}
