import {
  Deadline,
  PresenceError,
  decide
} from "./chunks/chunk-RW4THCLJ.js";
import {
  byteLength,
  isUserId
} from "./chunks/chunk-T7XX2VWZ.js";

// src/environment.ts
function globalEnvironment(webSocket) {
  const root = globalThis;
  const Channel = root.BroadcastChannel;
  return {
    now: () => performance.now(),
    setTimeout: (callback, millis) => setTimeout(callback, millis),
    clearTimeout: (timer) => {
      clearTimeout(timer);
    },
    queueMicrotask: (callback) => {
      queueMicrotask(callback);
    },
    random: () => Math.random(),
    reportError: (error) => {
      if (root.reportError) root.reportError(error);
      else console.error(error);
    },
    WebSocket: webSocket ?? root.WebSocket,
    fetch: root.fetch && ((...call) => fetch(...call)),
    window: root.document && root.window,
    document: root.document,
    locks: root.navigator?.locks,
    openChannel: Channel && ((name) => new Channel(name))
  };
}

// src/last-seen.ts
var UNITS = [
  ["year", 31557600],
  ["month", 2629800],
  ["week", 604800],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1]
];
function lastSeenAgo(record, nowMs, locales) {
  if (record.lastSeen === null) return void 0;
  const isPresent = record.status !== "OFFLINE";
  const seconds = isPresent ? 0 : Math.max(0, (nowMs - Date.parse(record.lastSeen)) / 1e3);
  const [unit, length] = UNITS.find(([, length2]) => seconds >= length2) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(locales, { numeric: "auto" }).format(-Math.floor(seconds / length), unit);
}

// src/record.ts
function isSame(left, right) {
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => left[key] === right[key]);
}

// src/value.ts
var Value = class {
  #env;
  #listeners = /* @__PURE__ */ new Set();
  #value;
  constructor(env, value) {
    this.#env = env;
    this.#value = value;
  }
  getSnapshot = () => this.#value;
  subscribe = (callback) => {
    const listener = () => {
      callback();
    };
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };
  set(value) {
    this.#value = value;
    for (const listener of [...this.#listeners]) guard(this.#env, listener);
  }
};
function guard(env, callback) {
  try {
    callback();
  } catch (error) {
    env.reportError(error);
  }
}

// src/own-status.ts
var GIVE_UP_MS = 3e4;
var RETRY_MS = 5e3;
var RATE_LIMIT_MS = 1e3;
var OwnStatusStore = class extends Value {
  #env;
  #setStatus;
  #pause;
  #endPause;
  #isWaitingForConnection = false;
  #record;
  /** The newest choice that is not acknowledged. */
  #choice;
  /** Those who wait for the newest choice, or for an older one that was never sent. */
  #callers = [];
  #isRunning = false;
  #isClosed = false;
  constructor(env, setStatus) {
    super(env, Object.freeze({ customStatus: void 0, status: void 0, isPending: false, record: void 0 }));
    this.#env = env;
    this.#setStatus = setStatus;
    this.#pause = new Deadline(env);
  }
  /** The server told this record. */
  apply(own) {
    if (this.#record && isSame(own, this.#record)) return;
    this.#record = Object.freeze(own);
    this.#show();
  }
  /** A connection is open: what waits for one is tried. */
  n() {
    if (this.#isWaitingForConnection) this.#endPause?.();
  }
  /** Resolves once the choice, or a newer one, is on the server's disk. */
  update(customStatus) {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(new PresenceError("stopped"));
        return;
      }
      this.#choice = { customStatus, p: this.#env.now() + GIVE_UP_MS };
      this.#callers.push({ resolve, reject });
      this.#show();
      this.n();
      if (!this.#isRunning) void this.#run();
    });
  }
  close() {
    this.#isClosed = true;
    this.#endPause?.();
  }
  /** One attempt at a time, so that the newest choice is the last one that the server hears. */
  async #run() {
    this.#isRunning = true;
    while (this.#choice) {
      const choice = this.#choice;
      const callers = this.#callers.splice(0);
      try {
        if (this.#isClosed) throw new PresenceError("stopped");
        const own = await this.#setStatus(choice.customStatus);
        if (this.#choice === choice) this.#choice = void 0;
        if (own.revision >= (this.#record?.revision ?? 0)) this.#record = Object.freeze(own);
        this.#show();
        for (const { resolve } of callers) resolve(own);
      } catch (cause) {
        const error = cause instanceof PresenceError ? cause : new PresenceError("token_failed", String(cause));
        const pauseMs = this.#pauseMs(error, choice);
        if (pauseMs !== void 0) {
          this.#callers.unshift(...callers);
          if (!this.#isClosed) await this.#wait(pauseMs, error.code === "disconnected");
          continue;
        }
        if (this.#choice === choice) this.#choice = void 0;
        this.#show();
        for (const { reject } of callers) reject(error);
      }
    }
    this.#isRunning = false;
  }
  #pauseMs(error, choice) {
    const isRetried = error.code === "rate_limited" || error.code === "disconnected";
    const pauseMs = error.code === "disconnected" ? RETRY_MS : error.retryAfterMs ?? RATE_LIMIT_MS;
    const isInTime = this.#env.now() + pauseMs < choice.p || this.#choice !== choice;
    return isRetried && isInTime ? pauseMs : void 0;
  }
  #wait(millis, isForConnection) {
    return new Promise((resolve) => {
      this.#isWaitingForConnection = isForConnection;
      this.#endPause = () => {
        this.#isWaitingForConnection = false;
        this.#endPause = void 0;
        this.#pause.clear();
        resolve();
      };
      this.#pause.set(millis, this.#endPause);
    });
  }
  #show() {
    const record = this.#record;
    const choice = this.#choice?.customStatus;
    const next = {
      customStatus: choice ?? record?.customStatus,
      status: choice === void 0 || !record || record.status === "OFFLINE" ? record?.status : choice,
      isPending: choice !== void 0,
      record
    };
    if (!isSame(next, this.getSnapshot())) this.set(Object.freeze(next));
  }
};

// src/page.ts
var INPUTS = "pointerdown pointermove keydown wheel touchstart";
var INPUT_INTERVAL_MS = 1e3;
function listenToPage(env, isTracking, link) {
  const { document, window } = env;
  if (!document || !window) return () => void 0;
  const removals = [];
  const on = (target, types, listener) => {
    for (const type of types.split(" ")) {
      target.addEventListener(type, listener, { capture: true, passive: true });
      removals.push(() => {
        target.removeEventListener(type, listener, true);
      });
    }
  };
  let inputAt = -Infinity;
  const onInput = () => {
    const now = env.now();
    if (!isTracking || now - inputAt < INPUT_INTERVAL_MS) return;
    inputAt = now;
    link.b(now);
  };
  const onWake = () => {
    link.wake();
  };
  on(document, INPUTS, onInput);
  on(document, "visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    onWake();
    onInput();
  });
  on(document, "freeze", () => {
    link.d();
  });
  on(document, "resume", () => {
    link.e();
  });
  on(window, "online offline focus", onWake);
  on(window, "pagehide", (event) => {
    link.f(event.persisted);
  });
  on(window, "pageshow", (event) => {
    if (event.persisted) link.open();
  });
  return () => {
    for (const remove of removals) remove();
  };
}

// src/rest.ts
var TIMEOUT_MS = 1e4;
async function putCustomStatus(env, restUrl, token, customStatus) {
  try {
    if (!env.fetch) throw new Error("no fetch");
    const response = await env.fetch(`${restUrl}/api/user/custom-status`, {
      method: "PUT",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ customStatus }),
      signal: AbortSignal.timeout(TIMEOUT_MS)
    });
    const { now: _, ...body } = await response.json();
    if (response.ok) return body;
    const isTemporary = response.status > 501 && body.code !== "store_unavailable";
    const retryAfterMs = Number(response.headers.get("retry-after")) * 1e3;
    throw new PresenceError(isTemporary ? "disconnected" : body.code ?? "disconnected", body.detail, retryAfterMs || void 0);
  } catch (cause) {
    throw cause instanceof PresenceError ? cause : new PresenceError("disconnected", String(cause));
  }
}

// src/server-clock.ts
var ServerClock = class {
  #env;
  #offsetMs = -Infinity;
  constructor(env) {
    this.#env = env;
  }
  /** Milliseconds since 1970 by the server's clock; undefined before it has said its time. */
  now() {
    return this.#offsetMs === -Infinity ? void 0 : this.#offsetMs + this.#env.now();
  }
  /** A message said this time. What travelled for the shortest time is nearest to the truth: the largest offset. */
  observe(nowMs) {
    const offsetMs = nowMs - this.#env.now();
    if (offsetMs > this.#offsetMs) this.#offsetMs = offsetMs;
  }
  /** A new connection begins: the server may be another one, and its clock may have been set. */
  restart() {
    this.#offsetMs = -Infinity;
  }
};

// src/activity.ts
var REPORT_INTERVAL_MS = 3e4;
var OVERLAP_MS = 5e3;
var ActivityReports = class {
  #idleAfterMs;
  /** When the last input was; undefined if there was none since the page was loaded. */
  #inputAt;
  /** Whether anything is reported: in a page always, elsewhere once the application told of an input. */
  #isTracking;
  /** What this connection has reported. */
  #reported;
  #reportedAt = -Infinity;
  /** The server needs to hear that the user is active here, because otherwise other sessions decide. */
  #isNeeded = false;
  constructor(idleAfterMs, isTracking, inputAt) {
    this.#idleAfterMs = idleAfterMs;
    this.#isTracking = isTracking;
    this.#inputAt = inputAt;
  }
  b(at) {
    this.#isTracking = true;
    this.#inputAt = Math.max(at, this.#inputAt ?? -Infinity);
  }
  k() {
    this.#reported = void 0;
    this.#isNeeded = false;
  }
  /** The server's view of the user: connections that have said nothing don't count beside those that said "idle". */
  q(own, now) {
    const isIdle = own.status === "IDLE" && own.customStatus !== "IDLE";
    if (this.#reported === void 0) this.#isNeeded = isIdle || own.sessions > 1;
    else if (isIdle && this.#reported === "active" && now - this.#reportedAt > OVERLAP_MS) {
      this.#reported = "idle";
      if (this.#inputAt !== void 0 && this.#inputAt <= this.#reportedAt) this.#inputAt = -Infinity;
    }
  }
  /** The message to send now, if there is one. The caller sends it. */
  next(now) {
    if (!this.#isTracking) return void 0;
    if (this.#isIdle(now)) {
      if (this.#reported === "idle") return void 0;
      this.#reported = "idle";
      return { type: "activity", idle: true };
    }
    if (!this.#isDue(now)) return void 0;
    this.#reported = "active";
    this.#reportedAt = now;
    return { type: "activity" };
  }
  /** In how many milliseconds the user will be idle; undefined if that is nothing to report. */
  r(now) {
    const isAhead = this.#isTracking && this.#inputAt !== void 0 && !this.#isIdle(now);
    return isAhead ? (this.#inputAt ?? 0) + this.#idleAfterMs - now : void 0;
  }
  #isIdle(now) {
    return now - (this.#inputAt ?? -Infinity) >= this.#idleAfterMs;
  }
  #isDue(now) {
    const inputAt = this.#inputAt ?? -Infinity;
    if (this.#reported === "idle") return true;
    if (this.#reported === void 0 && this.#isNeeded) return true;
    return inputAt > this.#reportedAt && now - this.#reportedAt >= REPORT_INTERVAL_MS && now - inputAt < REPORT_INTERVAL_MS;
  }
};

// src/protocol.ts
var CLOSE_TO_RECONNECT = 3e3;
var CLOSE_SIGN_OUT = 1e3;
var MESSAGE_IDS_MAX_BYTES = 12e3;
var WATCHED_MAX = 5e3;

// src/connection.ts
var CONNECT_TIMEOUT_MS = 2e4;
var PROBE_TIMEOUT_MS = 1e4;
var QUICK_PROBE_TIMEOUT_MS = 4e3;
var STABLE_MS = 1e4;
var WAKE_PAUSE_MS = 2e3;
var WAKE_JITTER_MS = 300;
var Connection = class {
  #env;
  #options;
  #handlers;
  /** Of the attempt, of the delay before it, or of the silence of the open socket. */
  #deadline;
  #socket;
  /** Grows with each attempt and end: what belongs to an older one is ignored. */
  #attempt = 0;
  #phase = "ended";
  #failures = 0;
  #attemptAt = -Infinity;
  #openedAt = 0;
  #receivedAt = 0;
  #probedAt = -Infinity;
  #silenceMs = 25e3;
  #goodbye;
  /** Waits for a delay that the server gave. */
  #isDelayFixed = false;
  constructor(env, options, handlers) {
    this.#env = env;
    this.#options = options;
    this.#handlers = handlers;
    this.#deadline = new Deadline(env);
  }
  get a() {
    return this.#phase === "open";
  }
  /** Connects, unless it does already. */
  open() {
    if (this.#phase === "ended") void this.#connect();
  }
  /** Ends the connection and all attempts, without a word to the handlers, until it is opened again. */
  close(code) {
    this.#end(code);
    this.#phase = "ended";
  }
  /** Returns the bytes that were sent, 0 if it is not open. */
  send(message) {
    if (!this.a || this.#socket?.readyState !== 1) return 0;
    const text = JSON.stringify(message);
    this.#socket.send(text);
    return byteLength(text);
  }
  /**
   * The network may have changed, or the page was away: finds out soon whether the connection still is one.
   * @param isQuiet no answer is under way that the server may hold back
   */
  wake(isQuiet) {
    const now = this.#env.now();
    const isProbed = this.#receivedAt < this.#probedAt;
    if (this.#phase === "open" && !isProbed && now - this.#receivedAt >= WAKE_PAUSE_MS)
      this.#probe(isQuiet ? QUICK_PROBE_TIMEOUT_MS : PROBE_TIMEOUT_MS);
    if (this.#phase === "waiting" && !this.#isDelayFixed && now - this.#attemptAt >= WAKE_PAUSE_MS)
      this.#wait(this.#env.random() * WAKE_JITTER_MS, false);
  }
  async #connect() {
    const attempt = ++this.#attempt;
    this.#phase = "connecting";
    this.#attemptAt = this.#env.now();
    this.#goodbye = void 0;
    this.#deadline.j(CONNECT_TIMEOUT_MS, () => {
      this.#lose();
    });
    this.#handlers.c({ status: "connecting" });
    try {
      const token = await this.#options.getToken();
      if (attempt !== this.#attempt) return;
      if (!token) {
        this.stop("signed_out");
        return;
      }
      if (!this.#env.WebSocket) throw new Error("no WebSocket: pass one to connect()");
      this.#socket = new this.#env.WebSocket(this.#options.url, ["presence.v1", `bearer.${token}`]);
    } catch (cause) {
      if (attempt !== this.#attempt) return;
      this.#handlers.onError(new PresenceError("token_failed", String(cause), void 0, { cause }));
      this.#lose();
      return;
    }
    this.#socket.onmessage = (event) => {
      if (attempt === this.#attempt) this.#receive(event.data);
    };
    this.#socket.onclose = (event) => {
      if (attempt === this.#attempt) this.#lose(event.code);
    };
    this.#socket.onerror = () => void 0;
  }
  #receive(data) {
    this.#receivedAt = this.#env.now();
    try {
      const message = JSON.parse(data);
      if (message.type === "welcome") this.#welcome(message);
      if (message.type === "goodbye") this.#goodbye = message;
      if (this.#phase === "open") this.#handlers.onMessage(message);
    } catch (cause) {
      this.#handlers.onError(new PresenceError("invalid_message", String(cause), void 0, { cause }));
      this.#lose();
    }
  }
  #welcome(message) {
    this.#phase = "open";
    this.#openedAt = this.#receivedAt;
    this.#silenceMs = message.pingSeconds * 1e3;
    this.#watchSilence();
  }
  /** Frames only move `#receivedAt`; the timer looks at it when it fires, so a frame costs no timer. */
  #watchSilence() {
    const left = this.#receivedAt + this.#silenceMs - this.#env.now();
    if (left <= 0) this.#probe(PROBE_TIMEOUT_MS);
    else {
      this.#deadline.set(left, () => {
        this.#watchSilence();
      });
    }
  }
  /** Protocol pings are invisible to a page, so it asks by itself. Any frame is an answer. */
  #probe(timeoutMs) {
    const probedAt = this.#probedAt = this.#env.now();
    this.send({ type: "ping" });
    this.#deadline.j(timeoutMs, () => {
      if (this.#receivedAt < probedAt) this.#lose();
      else this.#watchSilence();
    });
  }
  /** The connection, or the attempt, has ended without our doing. */
  #lose(code = 1006) {
    const wasOpen = this.a;
    const openMs = wasOpen ? this.#env.now() - this.#openedAt : 0;
    if (openMs >= STABLE_MS) this.#failures = 0;
    const ending = { code, goodbye: this.#goodbye, t: openMs, s: this.#failures };
    const decision = decide(ending, this.#env.random);
    this.close(CLOSE_TO_RECONNECT);
    const attempt = this.#attempt;
    if (wasOpen) this.#handlers.u();
    this.#handlers.c("stop" in decision ? { status: "stopped", reason: decision.stop } : { status: "waiting" });
    if ("stop" in decision || attempt !== this.#attempt) return;
    this.#failures += 1;
    this.#wait(decision.l, decision.fixed);
  }
  #wait(millis, isFixed) {
    this.#phase = "waiting";
    this.#isDelayFixed = isFixed;
    if (millis === 0) void this.#connect();
    else this.#deadline.set(millis, () => void this.#connect());
  }
  /** Ends for good, and says so. */
  stop(reason) {
    this.close(CLOSE_TO_RECONNECT);
    this.#handlers.c({ status: "stopped", reason });
  }
  #end(code) {
    this.#attempt += 1;
    this.#deadline.clear();
    const socket = this.#socket;
    this.#socket = void 0;
    if (socket && socket.readyState < 2) socket.close(code);
  }
};

// src/send-budget.ts
var MESSAGES_PER_MS = 0.025;
var MESSAGES_BURST = 75;
var BYTES_PER_MS = 50;
var BYTES_BURST = 8e5;
var SendBudget = class {
  #env;
  #messages = MESSAGES_BURST;
  #bytes = BYTES_BURST;
  #at;
  constructor(env) {
    this.#env = env;
    this.#at = env.now();
  }
  /** For how many milliseconds a next message has to wait; 0 if it may go. */
  v() {
    const now = this.#env.now();
    const elapsed = Math.max(0, now - this.#at);
    this.#at = now;
    this.#messages = Math.min(MESSAGES_BURST, this.#messages + elapsed * MESSAGES_PER_MS);
    this.#bytes = Math.min(BYTES_BURST, this.#bytes + elapsed * BYTES_PER_MS);
    return Math.ceil(Math.max((1 - this.#messages) / MESSAGES_PER_MS, -this.#bytes / BYTES_PER_MS, 0));
  }
  /** Counts a message that was sent, of so many bytes. */
  take(bytes) {
    this.#messages -= 1;
    this.#bytes -= bytes;
  }
};

// src/watch-list.ts
var Position = class {
  cursor;
  g = /* @__PURE__ */ new Set();
};
var WatchList = class {
  #wanted = /* @__PURE__ */ new Set();
  /** What the server has, after all that was sent: user id -> the request that added it. */
  #sent = /* @__PURE__ */ new Map();
  /** Unanswered requests, by id. */
  #requests = /* @__PURE__ */ new Map();
  #toResume = /* @__PURE__ */ new Set();
  #toWatch = /* @__PURE__ */ new Set();
  #toUnwatch = /* @__PURE__ */ new Set();
  /** From where the next connection resumes. */
  #position = new Position();
  /** Becomes the position with the first cursor of this connection. */
  #current = new Position();
  /** What this connection resumes from; all its requests name the same cursor. */
  #since;
  #limit = WATCHED_MAX;
  #onDrop;
  /** @param onDrop nothing will be told of this user any more: what is known gets old */
  constructor(onDrop) {
    this.#onDrop = onDrop;
  }
  /** Whether records of this user are kept. */
  has(userId) {
    return this.#wanted.has(userId) || this.#sent.has(userId);
  }
  /** Whether every wanted user's snapshot has arrived, but for those beyond a limit. */
  get w() {
    return this.#requests.size === 0 && (this.#toWatch.size === 0 && this.#toResume.size === 0 || this.#room() <= 0);
  }
  get x() {
    return this.#requests.size > 0;
  }
  watch(userIds) {
    for (const id of userIds) {
      this.#wanted.add(id);
      if (!this.#toUnwatch.delete(id) && !this.#sent.has(id) && !this.#toResume.has(id)) this.#toWatch.add(id);
    }
  }
  unwatch(userIds) {
    for (const id of userIds) {
      this.#wanted.delete(id);
      this.#toResume.delete(id);
      this.#toWatch.delete(id);
      if (this.#sent.has(id)) this.#toUnwatch.add(id);
      else this.#drop(id);
    }
  }
  /** A new connection: the server's list is empty. */
  k() {
    this.#current = new Position();
    this.#limit = WATCHED_MAX;
    this.#since = this.#position.cursor;
    this.#toWatch.clear();
    for (const id of this.#wanted) (this.#position.g.has(id) ? this.#toResume : this.#toWatch).add(id);
  }
  y() {
    this.#sent.clear();
    this.#requests.clear();
    this.#toResume.clear();
    this.#toWatch.clear();
    for (const id of this.#toUnwatch) this.#drop(id);
    this.#toUnwatch.clear();
  }
  /** The message to send next, if there is one. The caller sends it, or loses the connection. */
  next(requestId) {
    if (this.#toUnwatch.size > 0) {
      const userIds2 = this.#take(this.#toUnwatch, Infinity);
      for (const id of userIds2) this.#drop(id);
      return { type: "unwatch", userIds: userIds2 };
    }
    const isResume = this.#toResume.size > 0;
    const userIds = this.#take(isResume ? this.#toResume : this.#toWatch, this.#room());
    if (userIds.length === 0) return void 0;
    for (const id of userIds) this.#sent.set(id, requestId);
    this.#requests.set(requestId, userIds);
    return { type: "watch", id: requestId, userIds, ...isResume && this.#since !== void 0 && { since: this.#since } };
  }
  /** The last frame of a snapshot has been applied. */
  z(requestId, cursor) {
    for (const id of this.#answered(requestId)) this.#current.g.add(id);
    this.o(cursor);
  }
  /** A frame with changes has been applied. */
  o(cursor) {
    this.#current.cursor = cursor;
    this.#position = this.#current;
  }
  /**
   * A request was refused: nothing was added.
   * @returns whether it was a request of this list
   */
  A(requestId, code) {
    if (!this.#requests.has(requestId)) return false;
    for (const id of this.#answered(requestId)) {
      this.#sent.delete(id);
      if (this.#toUnwatch.delete(id)) this.#drop(id);
      else if (code !== "invalid_user_id") this.#toWatch.add(id);
    }
    if (code === "too_many_watched") this.#limit = this.#sent.size;
    return true;
  }
  #room() {
    return this.#limit - this.#sent.size;
  }
  /** The users of a request that have not been unwatched since. */
  #answered(requestId) {
    const userIds = this.#requests.get(requestId) ?? [];
    this.#requests.delete(requestId);
    return userIds.filter((id) => this.#sent.get(id) === requestId);
  }
  #drop(userId) {
    this.#sent.delete(userId);
    this.#position.g.delete(userId);
    this.#current.g.delete(userId);
    this.#onDrop(userId);
  }
  #take(from, count) {
    const taken = [];
    let bytes = 0;
    for (const id of from) {
      bytes += byteLength(JSON.stringify(id)) + 1;
      if (taken.length >= count || bytes > MESSAGE_IDS_MAX_BYTES) break;
      taken.push(id);
      from.delete(id);
    }
    return taken;
  }
};

// src/session.ts
var TIMER_MAX_MS = 2 ** 31 - 1;
var RETRY_MS2 = 5e3;
var Session = class {
  #env;
  #clock;
  #events;
  #connection;
  #watchList;
  #activity;
  #records = /* @__PURE__ */ new Map();
  #statusToSend = [];
  #statusUnderWay = /* @__PURE__ */ new Map();
  #sendTimer;
  #idleTimer;
  #budget;
  #own;
  #sessionId;
  /** The session to continue, until that is sent. */
  #toContinue;
  #lastRequest = 0;
  #watchNotBefore = -Infinity;
  #isLive = false;
  #isBehind = false;
  constructor(env, options, clock, events) {
    this.#clock = clock;
    this.#env = env;
    this.#events = events;
    this.#sessionId = options.B;
    this.#activity = new ActivityReports(options.idleAfterMs, options.C, options.inputAt);
    this.#sendTimer = new Deadline(env);
    this.#idleTimer = new Deadline(env);
    this.#budget = new SendBudget(env);
    this.#watchList = new WatchList((id) => this.#records.delete(id));
    this.#connection = new Connection(env, options, {
      onMessage: (message) => {
        this.#handle(message);
      },
      u: () => {
        this.#onClose();
      },
      c: events.c,
      onError: events.onError
    });
  }
  get sessionId() {
    return this.#sessionId;
  }
  get a() {
    return this.#connection.a;
  }
  open() {
    this.#connection.open();
  }
  close(isSignOut) {
    this.#connection.close(isSignOut ? CLOSE_SIGN_OUT : CLOSE_TO_RECONNECT);
    this.#onClose();
  }
  /** The browser goes on answering pings. */
  d() {
  }
  e() {
    this.wake();
  }
  /** The browser closes the connection of a page that is not kept with 1001: that is the user's doing. */
  f(isKept) {
    if (isKept) this.close(false);
  }
  wake() {
    this.#connection.wake(!this.#watchList.x && this.#statusUnderWay.size === 0);
  }
  get(userId) {
    return this.#records.get(userId);
  }
  watch(userIds) {
    this.#watchList.watch(userIds);
    this.#send();
  }
  unwatch(userIds) {
    this.#watchList.unwatch(userIds);
    this.#send();
  }
  b(at) {
    this.#activity.b(at);
    this.#send();
  }
  setStatus(customStatus) {
    return new Promise((resolve, reject) => {
      if (!this.a) reject(new PresenceError("disconnected"));
      else {
        this.#statusToSend.push({ customStatus, resolve, reject });
        this.#send();
      }
    });
  }
  #handle(message) {
    if (message.type === "welcome") this.#clock.restart();
    if ("now" in message) this.#clock.observe(Date.parse(message.now));
    switch (message.type) {
      case "welcome":
        this.#onWelcome(message);
        break;
      case "snapshot":
        this.#apply(message.users, true);
        if (message.done) this.#watchList.z(message.id, message.cursor);
        break;
      case "presence":
        this.#apply(message.users, false);
        this.#watchList.o(message.cursor);
        break;
      case "ok":
        this.#onOk(message);
        break;
      case "error":
        this.#onError(message);
        break;
      case "stale":
        this.#isBehind = message.stale;
        if (this.#isLive) this.#tellLive();
    }
    this.#send();
  }
  #onWelcome({ user, sessionId }) {
    if (this.#own && this.#own.userId !== user.userId) {
      this.#connection.stop("user_changed");
      this.#onClose();
      return;
    }
    this.#toContinue = this.#sessionId;
    this.#sessionId = sessionId;
    this.#isLive = this.#isBehind = false;
    this.#budget = new SendBudget(this.#env);
    this.#watchNotBefore = -Infinity;
    this.#watchList.k();
    this.#activity.k();
    this.#applyOwn(user);
  }
  #onOk({ id = 0, user }) {
    if (user && user.revision >= (this.#own?.revision ?? 0)) this.#applyOwn(user);
    const request = this.#takeStatusRequest(id);
    if (request && user) request.resolve(user);
  }
  #onError({ id = 0, code, message, retryAfterMs }) {
    const error = new PresenceError(code, message, retryAfterMs);
    const request = this.#takeStatusRequest(id);
    if (request) {
      request.reject(error);
      return;
    }
    if (this.#watchList.A(id, code)) this.#watchNotBefore = this.#env.now() + (retryAfterMs ?? RETRY_MS2);
    this.#events.onError(error);
  }
  #takeStatusRequest(id) {
    const request = this.#statusUnderWay.get(id);
    this.#statusUnderWay.delete(id);
    return request;
  }
  #onClose() {
    this.#sendTimer.clear();
    this.#idleTimer.clear();
    this.#watchList.y();
    const requests = [...this.#statusToSend, ...this.#statusUnderWay.values()];
    this.#statusToSend.length = 0;
    this.#statusUnderWay.clear();
    for (const { reject } of requests) reject(new PresenceError("disconnected"));
  }
  /** @param isSnapshot the records hold whatever revisions were known */
  #apply(users, isSnapshot) {
    const changed = [];
    for (const user of users) {
      if (user.userId === this.#own?.userId && "customStatus" in user && (isSnapshot || !isOlder(user, this.#own)))
        this.#applyOwn(user);
      if (!this.#watchList.has(user.userId)) continue;
      const known = this.#records.get(user.userId);
      if (known && !isSnapshot && isOlder(user, known)) continue;
      this.#records.set(user.userId, user);
      changed.push(user);
    }
    if (changed.length > 0) this.#events.h(changed);
  }
  #applyOwn(own) {
    this.#activity.q(own, this.#env.now());
    this.#own = own;
    this.#events.i(own);
  }
  #tellLive() {
    this.#isLive = true;
    this.#events.c({ status: this.#isBehind ? "stale" : "live" });
  }
  /** Sends all that there is to send, as far as the limits allow. */
  #send() {
    if (!this.a) return;
    const now = this.#env.now();
    this.#sendTimer.clear();
    for (; ; ) {
      const waitMs = this.#budget.v();
      if (waitMs > 0) {
        this.#sendLater(waitMs);
        break;
      }
      const message = this.#next(now);
      if (!message) break;
      this.#budget.take(this.#connection.send(message));
    }
    if (!this.#isLive && this.#watchList.w) this.#tellLive();
    const idleInMs = this.#activity.r(now);
    if (idleInMs !== void 0)
      this.#idleTimer.set(Math.min(idleInMs, TIMER_MAX_MS), () => {
        this.#send();
      });
  }
  #next(now) {
    if (this.#toContinue !== void 0) {
      const sessionId = this.#toContinue;
      this.#toContinue = void 0;
      return { type: "resume", sessionId };
    }
    const activity = this.#activity.next(now);
    if (activity) return activity;
    const request = this.#statusToSend.shift();
    if (request) {
      this.#statusUnderWay.set(++this.#lastRequest, request);
      return { type: "setStatus", id: this.#lastRequest, customStatus: request.customStatus };
    }
    if (now >= this.#watchNotBefore) return this.#watchList.next(++this.#lastRequest);
    this.#sendLater(this.#watchNotBefore - now);
    return void 0;
  }
  #sendLater(millis) {
    this.#sendTimer.set(millis, () => {
      this.#send();
    });
  }
};
function isOlder(user, known) {
  return user.revision > 0 && user.revision < known.revision;
}

// src/store.ts
var Store = class {
  #env;
  #getLink;
  #watches = /* @__PURE__ */ new Map();
  #records = /* @__PURE__ */ new Map();
  /** The users whose watch has been told. */
  #told = /* @__PURE__ */ new Set();
  /** The users whose first watch began or last one ended in this task. */
  #toTell = /* @__PURE__ */ new Set();
  constructor(env, getLink) {
    this.#env = env;
    this.#getLink = getLink;
  }
  get(userId) {
    return this.#records.get(userId);
  }
  /** The watched users, as told. */
  get userIds() {
    return this.#told;
  }
  /** @throws PresenceError `invalid_user_id` */
  watch(userIds, callback) {
    const ids = new Set(userIds);
    for (const id of ids) if (!isUserId(id)) throw new PresenceError("invalid_user_id", `no user id: ${JSON.stringify(id)}`);
    let isActive = true;
    const watch = (changes) => {
      if (isActive) guard(this.#env, () => {
        callback(changes);
      });
    };
    for (const id of ids) {
      const watches = this.#watches.get(id);
      if (watches) watches.add(watch);
      else this.#watches.set(id, /* @__PURE__ */ new Set([watch]));
      this.#tellLater(id);
    }
    if ([...ids].some((id) => this.#records.has(id)))
      this.#env.queueMicrotask(() => {
        const known = [...ids].filter((id) => this.#records.has(id));
        watch(new Map(known.map((id) => [id, this.#records.get(id)])));
      });
    return () => {
      if (!isActive) return;
      isActive = false;
      for (const id of ids) {
        const watches = this.#watches.get(id);
        watches?.delete(watch);
        if (watches?.size === 0) this.#watches.delete(id);
        this.#tellLater(id);
      }
    };
  }
  /** Takes records over, whatever was known before, and calls each watch that they concern once. */
  apply(records) {
    const changes = /* @__PURE__ */ new Map();
    for (const record of records) {
      const id = record.userId;
      const watches = this.#watches.get(id);
      const known = this.#records.get(id);
      if (!watches || known && isSame(record, known)) continue;
      const shown = "removed" in record ? void 0 : Object.freeze(record);
      if (shown) this.#records.set(id, shown);
      else if (!this.#records.delete(id)) continue;
      for (const watch of watches) {
        const changed = changes.get(watch);
        if (changed) changed.set(id, shown);
        else changes.set(watch, /* @__PURE__ */ new Map([[id, shown]]));
      }
    }
    for (const [watch, changed] of changes) watch(changed);
  }
  #tellLater(userId) {
    if (this.#toTell.size === 0)
      this.#env.queueMicrotask(() => {
        this.#tell();
      });
    this.#toTell.add(userId);
  }
  #tell() {
    const ids = [...this.#toTell];
    this.#toTell.clear();
    const ended = ids.filter((id) => !this.#watches.has(id) && this.#told.delete(id));
    const begun = ids.filter((id) => this.#watches.has(id) && !this.#told.has(id));
    for (const id of ids) if (!this.#watches.has(id)) this.#records.delete(id);
    for (const id of begun) this.#told.add(id);
    if (ended.length > 0) this.#getLink().unwatch(ended);
    if (begun.length > 0) this.#getLink().watch(begun);
  }
};

// src/client.ts
function connect(options) {
  return new PresenceClient(options);
}
var IDLE_AFTER_MS = 3e5;
var PresenceClient = class {
  /** Whether what is shown is what the server says. */
  connection;
  /** The user's own status. */
  own;
  #env;
  #options;
  #clock;
  #store;
  #own;
  #state;
  #stopListening;
  #link;
  #isClosed = false;
  constructor(options) {
    const env = this.#env = options.environment ?? globalEnvironment(options.WebSocket);
    new URL(options.url);
    this.#options = options;
    this.#clock = new ServerClock(env);
    this.own = this.#own = new OwnStatusStore(env, (customStatus) => this.#setStatus(customStatus));
    this.connection = this.#state = new Value(env, { status: "connecting" });
    this.#store = new Store(env, () => this.#link);
    const isTracking = (options.activity ?? (env.document ? "auto" : "manual")) === "auto";
    this.#link = this.#makeLink(isTracking);
    this.#stopListening = listenToPage(env, isTracking, this.#link);
    this.#link.open();
  }
  /**
   * Watches users until the returned function is called. Calls back soon with those that are known already, then with
   * the records that change, those of one message together. Watches are counted: a user that is watched ten times is
   * one subscription.
   * @throws PresenceError `invalid_user_id`
   */
  watch(userIds, callback) {
    return this.#store.watch(userIds, callback);
  }
  /** The record of a watched user; undefined while it is not known, and for a user that an operator had forgotten. */
  get(userId) {
    return this.#store.get(userId);
  }
  /** One user for UI libraries: watched as long as somebody is subscribed. */
  user(userId) {
    return {
      subscribe: (listener) => this.watch([userId], listener),
      getSnapshot: () => this.get(userId)
    };
  }
  /**
   * Sets the custom status: shown in {@link own} at once, taken back if it fails. Waits for rate limits, and for up to
   * 30 s for a connection. If another choice follows before the first is sent, both resolve with that.
   * Rejects with a PresenceError: `store_unavailable`, `rate_limited`, `disconnected`, `stopped` or another code of the server.
   */
  updateCustomStatus(customStatus) {
    return this.#own.update(customStatus);
  }
  /** The user did something now. Inputs of a page are reported by themselves. */
  reportActivity() {
    this.#link.b(this.#env.now());
  }
  /** The server's time in milliseconds since 1970; undefined before the first connection. */
  serverNow() {
    return this.#clock.now();
  }
  /** "5 minutes ago" by the server's clock, "now" for a user who is present; undefined if never seen or not yet connected. */
  lastSeenAgo(record, locales) {
    const now = this.serverNow();
    return now === void 0 ? void 0 : lastSeenAgo(record, now, locales);
  }
  /** Leaves for good. If no other tab of the user is connected, others see it as signed out at once. */
  close() {
    if (this.#isClosed) return;
    this.#stop();
    this.#link.close(true);
    this.#state.set({ status: "stopped", reason: "closed" });
  }
  #stop() {
    this.#isClosed = true;
    this.#stopListening();
    this.#own.close();
  }
  #makeLink(isTracking) {
    const { url, getToken, idleAfterMs = IDLE_AFTER_MS, tabs, onError } = this.#options;
    const env = this.#env;
    const clock = this.#clock;
    const inputAt = isTracking && env.document?.visibilityState === "visible" ? env.now() : void 0;
    const options = { url, getToken, idleAfterMs, C: isTracking, inputAt };
    const events = {
      h: (records) => {
        this.#store.apply(records);
      },
      i: (own) => {
        this.#own.apply(own);
      },
      c: (state) => {
        this.#onState(state);
      },
      onError: (error) => onError?.(error)
    };
    const openSession = (sessionOptions, sessionEvents) => new Session(env, sessionOptions, clock, sessionEvents);
    const { userIds } = this.#store;
    return tabs ? tabs({ env, options, clock, events, userIds, m: openSession }) : openSession(options, events);
  }
  #onState(state) {
    if (this.#isClosed) return;
    const shown = this.#state.getSnapshot();
    if (state.status === "stopped") this.#stop();
    if (shown.status !== state.status || shown.reason !== state.reason) this.#state.set(Object.freeze({ ...state }));
    if (this.#link.a) this.#own.n();
  }
  async #setStatus(customStatus) {
    this.reportActivity();
    if (this.#link.a) return this.#link.setStatus(customStatus);
    const token = await this.#options.getToken();
    if (!token) throw new PresenceError("stopped", "signed out");
    const restUrl = this.#options.restUrl ?? this.#options.url.replace(/^ws/, "http").replace(/\/ws$/, "");
    return putCustomStatus(this.#env, restUrl, token, customStatus);
  }
};
export {
  PresenceClient,
  PresenceError,
  connect,
  isUserId
};
//# sourceMappingURL=index.js.map
