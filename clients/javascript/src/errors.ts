// What calls reject with, and what `onError` is told.

/** Codes that the client makes itself; all others are the server's. */
export type ClientErrorCode =
  /** The connection was lost before the answer came. */
  | "disconnected"
  /** Neither a connection nor a REST call got through in time. */
  | "timeout"
  /** The client is closed, or was stopped for good by the server. */
  | "stopped"
  /** `getToken` failed. */
  | "token_failed"
  /** A frame that is no message of the protocol, or that the client could not handle. */
  | "invalid_message"
  /** A user id that no server accepts. */
  | "invalid_user_id";

/** An error with a stable `code`: the server's, or one of {@link ClientErrorCode}. */
export class PresenceError extends Error {
  readonly code: string;
  /** After how long a repetition may succeed, in milliseconds, if the server said so. */
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string = code, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options);
    this.name = "PresenceError";
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}
