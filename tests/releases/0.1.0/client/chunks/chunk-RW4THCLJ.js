// src/errors.ts
var PresenceError = class extends Error {
  code;
  /** After how long a repetition may succeed, in milliseconds, if the server said so. */
  retryAfterMs;
  constructor(code, message = code, retryAfterMs, options) {
    super(message, options);
    this.name = "PresenceError";
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
};

// src/deadline.ts
var LATE_MS = 1e3;
var SECOND_WAIT_MAX_MS = 4e3;
var Deadline = class {
  #env;
  #timer;
  constructor(env) {
    this.#env = env;
  }
  /** Calls back after `millis`, or as soon as timers run after that, unless it is set again or cleared before. */
  set(millis, callback) {
    this.clear();
    this.#timer = this.#env.setTimeout(callback, millis);
  }
  /** The same for a deadline by which something must have arrived. */
  j(millis, callback) {
    const due = this.#env.now() + millis;
    this.set(millis, () => {
      if (this.#env.now() - due <= LATE_MS) callback();
      else this.set(Math.min(millis, SECOND_WAIT_MAX_MS), callback);
    });
  }
  clear() {
    this.#env.clearTimeout(this.#timer);
  }
};

// src/reconnect.ts
var FINAL_CODES = /* @__PURE__ */ new Set([1002, 1003, 1007, 1009, 4003, 4008, 4010]);
var SETTLED_MS = 1e3;
var BACKOFF_FIRST_MS = 1e3;
var BACKOFF_MAX_MS = 3e4;
function backoff(failures, random) {
  return random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 10));
}
function decide(ending, random) {
  const { code, goodbye, s: failures, t: openMs } = ending;
  if (FINAL_CODES.has(code)) return { stop: goodbye?.reason ?? `close_code_${code}` };
  if (!goodbye) return { l: backoff(failures, random), fixed: false };
  const afterMs = goodbye.reconnectAfterMs;
  if (afterMs === void 0) return { stop: goodbye.reason };
  if (afterMs > 0) return { l: afterMs, fixed: true };
  return { l: openMs < SETTLED_MS ? backoff(failures + 1, random) : 0, fixed: true };
}

export {
  PresenceError,
  Deadline,
  backoff,
  decide
};
//# sourceMappingURL=chunk-RW4THCLJ.js.map
