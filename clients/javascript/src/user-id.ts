// The server's rule of what a user id is. One invalid id would make it reject a whole message.

const FORBIDDEN = /^\p{White_Space}|\p{White_Space}$|\p{Cc}|\p{Cs}|^\.{0,2}$/u;
const encoder = new TextEncoder();

/** Whether the server accepts this id: 1 to 128 bytes of UTF-8, no control characters, no white space at the ends, not `.` or `..`. */
export function isUserId(id: unknown): id is string {
  return typeof id === "string" && !FORBIDDEN.test(id) && encoder.encode(id).length <= 128;
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}
