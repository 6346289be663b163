// src/user-id.ts
var FORBIDDEN = /^\p{White_Space}|\p{White_Space}$|\p{Cc}|\p{Cs}|^\.{0,2}$/u;
var encoder = new TextEncoder();
function isUserId(id) {
  return typeof id === "string" && !FORBIDDEN.test(id) && encoder.encode(id).length <= 128;
}
function byteLength(text) {
  return encoder.encode(text).length;
}

export {
  isUserId,
  byteLength
};
//# sourceMappingURL=chunk-T7XX2VWZ.js.map
