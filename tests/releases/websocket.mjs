// A WebSocket in the form of the standard's, for Node.js without one: text frames, as much as the daemon sends. Headers may be added.

import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";

const [TEXT, CLOSE, PING, PONG] = [1, 8, 9, 10];

/** Takes the frames out of what has come, and keeps a part of one. */
export class Frames {
  #bytes = Buffer.alloc(0);

  *of(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const all = this.#bytes;
      if (all.length < 2) return;
      const [short, isMasked] = [all[1] & 127, all[1] >= 128];
      let start = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (all.length < start + (isMasked ? 4 : 0)) return;
      const length = short === 126 ? all.readUInt16BE(2) : short === 127 ? Number(all.readBigUInt64BE(2)) : short;
      const mask = isMasked ? all.subarray(start, start + 4) : undefined;
      start += isMasked ? 4 : 0;
      if (all.length < start + length) return;
      const payload = Buffer.from(all.subarray(start, start + length));
      if (mask) payload.forEach((byte, index) => (payload[index] = byte ^ mask[index % 4]));
      this.#bytes = all.subarray(start + length);
      yield { opcode: all[0] & 15, payload };
    }
  }
}

export class WebSocket {
  readyState = 0;
  onopen = () => {};
  onmessage = () => {};
  onclose = () => {};
  onerror = () => {};
  #socket;
  #code = 1006;

  constructor(url, protocols = [], headers = {}) {
    const key = randomBytes(16).toString("base64");
    const offered = protocols.length ? { "sec-websocket-protocol": protocols.join(", ") } : {};
    const upgrade = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": key };
    const handshake = request(url.replace(/^ws:/, "http:"), { headers: { ...upgrade, ...offered, ...headers } });
    handshake.on("upgrade", (response, socket, head) => {
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      if (response.headers["sec-websocket-accept"] !== accept) return this.#ended();
      this.#opened(socket, head);
    });
    handshake.on("response", (response) => {
      response.resume();
      this.#ended();
    });
    handshake.on("error", () => this.#ended());
    handshake.end();
  }

  #opened(socket, head) {
    this.#socket = socket;
    if (this.readyState === 2) return this.terminate();
    this.readyState = 1;
    this.onopen({});
    const frames = new Frames();
    const receive = (bytes) => {
      for (const frame of frames.of(bytes)) this.#receive(frame);
    };
    socket.on("data", receive);
    socket.on("close", () => this.#ended());
    socket.on("error", () => {});
    if (head.length) receive(head);
  }

  #receive({ opcode, payload }) {
    if (opcode === TEXT) this.onmessage({ data: payload.toString() });
    if (opcode === PING) this.#write(PONG, payload);
    if (opcode === CLOSE) {
      this.#code = payload.length ? payload.readUInt16BE(0) : 1005;
      this.close(this.#code === 1005 ? undefined : this.#code);
      this.#socket.end();
    }
  }

  #write(opcode, payload) {
    const mask = randomBytes(4);
    const masked = Buffer.from(payload).map((byte, index) => byte ^ mask[index % 4]);
    const head = payload.length < 126 ? [payload.length | 128] : [254, payload.length >> 8, payload.length & 255];
    this.#socket.write(Buffer.concat([Buffer.from([128 | opcode, ...head]), mask, masked]));
  }

  send(text) {
    this.#write(TEXT, Buffer.from(text));
  }

  close(code) {
    const isOpen = this.readyState === 1;
    if (this.readyState < 2) this.readyState = 2;
    if (isOpen) this.#write(CLOSE, code === undefined ? Buffer.alloc(0) : Buffer.from([code >> 8, code & 255]));
  }

  /** Loses the connection. */
  terminate() {
    this.#socket?.destroy();
  }

  #ended() {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose({ code: this.#code });
  }
}
