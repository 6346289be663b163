// The public interface of the package.

export { connect, type ConnectOptions, PresenceClient } from "./client.ts";
export type { ConnectionState, ConnectionStatus } from "./connection.ts";
export type { WebSocketConstructor, WebSocketLike } from "./environment.ts";
export { type ClientErrorCode, PresenceError } from "./errors.ts";
export type { TabSharing } from "./link.ts";
export type { OwnStatus } from "./own-status.ts";
export type { CustomStatus, OwnRecord, PresenceRecord, Status } from "./protocol.ts";
export type { Changes } from "./store.ts";
export { isUserId } from "./user-id.ts";
export type { ExternalStore } from "./value.ts";
