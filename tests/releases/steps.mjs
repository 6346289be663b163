// Takes steps against a daemon and writes down what comes of each: requests over REST, and messages of WebSockets. The black-box
// tests take the same steps against a later daemon (`tests/tests/black_box/releases/steps.rs`).
//
// In what is sent "$session:NAME" is the id of the session that the socket of that name had first, "$cursor:NAME" its last cursor.

import { createHmac } from "node:crypto";
import { WebSocket } from "./websocket.mjs";

export const DEADLINE_MS = 20_000;

export function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timeout: ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The headers of a caller: "nobody", "internal", "user NAME", "for NAME" (by the secret), "token NAME". */
export function headersOf(caller, { secret, jwtKey }) {
  const [kind, name] = caller.split(" ");
  switch (kind) {
    case "nobody":
      return {};
    case "internal":
      return { "x-secret-token": secret };
    case "user":
      return { "x-user-id": name };
    case "for":
      return { "x-secret-token": secret, "x-user-id": name };
    case "token":
      return { authorization: `Bearer ${token(jwtKey, name)}` };
    default:
      throw new Error(`unknown caller: ${caller}`);
  }
}

export function token(key, userId, seconds = 300) {
  const encoded = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded({ sub: userId, exp })}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

class Socket {
  session;
  cursor;
  #messages = [];
  #waiting = () => {};
  #code;

  constructor(address, headers) {
    this.webSocket = new WebSocket(`ws://${address}/ws`, ["presence.v1"], headers);
    this.webSocket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      this.session ??= message.sessionId;
      this.cursor = message.cursor ?? this.cursor;
      this.#messages.push(message);
      this.#waiting();
    };
    this.webSocket.onclose = ({ code }) => {
      this.#code = code;
      this.#waiting();
    };
  }

  /** The next message of this type, whatever else comes before. */
  async next(type) {
    for (;;) {
      const index = this.#messages.findIndex((message) => message.type === type);
      if (index >= 0) return this.#messages.splice(index, 1)[0];
      if (this.#code !== undefined) throw new Error(`closed with ${this.#code} before ${type}`);
      await new Promise((resolve) => (this.#waiting = resolve));
    }
  }

  async closed() {
    while (this.#code === undefined) await new Promise((resolve) => (this.#waiting = resolve));
    return this.#code;
  }
}

/** Takes steps one after the other. Sockets stay open until the process ends, or a step closes them. */
export class Taker {
  #sockets = {};
  #daemon;

  constructor(daemon) {
    this.#daemon = daemon;
  }

  async all(steps) {
    const taken = [];
    for (const step of steps) taken.push(await within(JSON.stringify(step), this.#take(step)));
    return taken;
  }

  async #take(step) {
    switch (step.do) {
      case "request": {
        const headers = headersOf(step.as, this.#daemon);
        const body = step.body === undefined ? undefined : JSON.stringify(step.body);
        const response = await fetch(`http://${this.#daemon.address}${step.path}`, { method: step.method, headers, body });
        const text = await response.text();
        const isJson = response.headers.get("content-type")?.includes("json");
        return { ...step, status: response.status, ...(isJson ? { answer: JSON.parse(text) } : {}) };
      }
      case "open":
        this.#sockets[step.socket] = new Socket(this.#daemon.address, headersOf(step.as, this.#daemon));
        return { ...step, message: await this.#sockets[step.socket].next("welcome") };
      case "send":
        this.#sockets[step.socket].webSocket.send(this.#filled(step.sends));
        return step;
      case "receive":
        return { ...step, message: await this.#sockets[step.socket].next(step.type) };
      case "close":
        this.#sockets[step.socket].webSocket.close(step.code);
        await this.#sockets[step.socket].closed();
        return step;
      case "closed":
        return { ...step, code: await this.#sockets[step.socket].closed() };
      default:
        throw new Error(`unknown step: ${step.do}`);
    }
  }

  #filled(message) {
    const value = (kind, name) => (kind === "session" ? this.#sockets[name].session : this.#sockets[name].cursor);
    return JSON.stringify(message).replace(/\$(session|cursor):(\w+)/g, (_, kind, name) => value(kind, name));
  }
}

export const request = (as, method, path, body) => ({ do: "request", as, method, path, ...(body === undefined ? {} : { body }) });
export const open = (socket, as) => ({ do: "open", socket, as });
export const send = (socket, sends) => ({ do: "send", socket, sends });
export const receive = (socket, type) => ({ do: "receive", socket, type });
export const ask = (socket, sends, type = "ok") => [send(socket, sends), receive(socket, type)];
export const close = (socket, code) => ({ do: "close", socket, code });
export const closed = (socket) => ({ do: "closed", socket });
