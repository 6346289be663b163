// Runs the commands of a presencectl through a proxy that writes down what it sends: arguments, exit code, output and requests; of CSV the header.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, request as forward } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { Taker, ask, open, request, within } from "./steps.mjs";
import { Frames } from "./websocket.mjs";

/** What the commands find. */
const SETUP = [
  request("user alice", "PUT", "/api/user/custom-status", { customStatus: "ONLINE" }),
  open("alice", "user alice"),
  ...ask("alice", { type: "activity", id: 1 }),
  request("for bob", "PUT", "/api/user/realtime", { status: "ONLINE", source: "mqtt" }),
  request("user carol", "PUT", "/api/user/custom-status", { customStatus: "IDLE" }),
];

/** In this order. Events are interrupted after the first that is waited for. */
const COMMANDS = [
  ["set-status", "bob", "DO_NOT_DISTURB"],
  ["get", "alice", "bob", "carol"],
  ["get", "nobody"],
  ["online"],
  ["online", "--status", "ONLINE", "--sort", "last-seen", "--limit", "1"],
  ["explain", "alice"],
  ["explain", "bob"],
  ["nodes"],
  ["drain", "recorded", "--yes"],
  ["stats"],
  ["doctor"],
  ["token", "alice", "--jwt-key", "JWT_KEY"],
  ["events"],
  ["end-reports", "mqtt", "--yes"],
  ["kick", "alice", "--yes"],
  ["forget", "carol", "--yes"],
  ["simulate", "--users", "2", "--rate", "4", "--duration", "2s"],
  ["context", "list"],
];
/** Commands whose CSV has columns of their own. */
const TABLES = [["online"], ["get", "alice"], ["nodes"], ["stats"], ["doctor"]];
/** They have no JSON: a screen, and what is written for shells and people. */
const WITHOUT_JSON = ["watch", "completions", "man", "help"];

/** Headers that a program of HTTP sends by itself. */
const OF_THE_LIBRARY = /^(host|connection|upgrade|content-length|accept|accept-encoding|user-agent|sec-websocket-key|sec-websocket-extensions)$/;

class RecordingProxy {
  #taken = { requests: [], sockets: [] };

  static async before(daemon) {
    const proxy = new RecordingProxy();
    const [host, port] = daemon.address.split(":");
    const server = createServer((incoming, outgoing) => proxy.#pass(incoming, outgoing, { host, port }, daemon.secret));
    server.on("upgrade", (incoming, socket, head) => proxy.#tunnel(incoming, socket, head, { host, port }, daemon.secret));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    proxy.address = `127.0.0.1:${server.address().port}`;
    return proxy;
  }

  /** What was sent since the last time. */
  take() {
    const taken = this.#taken;
    this.#taken = { requests: [], sockets: [] };
    return taken;
  }

  #headers(incoming, secret) {
    const own = Object.entries(incoming.headers).filter(([name]) => !OF_THE_LIBRARY.test(name));
    return Object.fromEntries(own.map(([name, value]) => [name, value.replace(secret, "$secret")]));
  }

  #pass(incoming, outgoing, to, secret) {
    const { requests } = this.#taken;
    const chunks = [];
    incoming.on("data", (chunk) => chunks.push(chunk));
    incoming.on("end", () => {
      const options = { ...to, method: incoming.method, path: incoming.url, headers: incoming.headers };
      const passed = forward(options, (response) => {
        const answer = [];
        response.on("data", (chunk) => answer.push(chunk));
        response.on("end", () => {
          const body = Buffer.concat(chunks).toString();
          const text = Buffer.concat(answer).toString();
          const isJson = response.headers["content-type"]?.includes("json");
          requests.push({
            method: incoming.method,
            path: incoming.url,
            headers: this.#headers(incoming, secret),
            ...(body ? { body: JSON.parse(body) } : {}),
            status: response.statusCode,
            ...(isJson ? { answer: JSON.parse(text) } : {}),
          });
          outgoing.writeHead(response.statusCode, response.headers);
          outgoing.end(text);
        });
      });
      passed.on("error", () => outgoing.destroy());
      passed.end(Buffer.concat(chunks));
    });
  }

  #tunnel(incoming, socket, head, { host, port }, secret) {
    const entry = { path: incoming.url, headers: this.#headers(incoming, secret), sends: [] };
    this.#taken.sockets.push(entry);
    const daemon = connect(Number(port), host);
    const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`];
    for (let at = 0; at < incoming.rawHeaders.length; at += 2) lines.push(`${incoming.rawHeaders[at]}: ${incoming.rawHeaders[at + 1]}`);
    daemon.write(`${lines.join("\r\n")}\r\n\r\n`);
    const frames = new Frames();
    const sent = (bytes) => {
      for (const { opcode, payload } of frames.of(bytes)) if (opcode === 1) entry.sends.push(JSON.parse(payload.toString()));
      daemon.write(bytes);
    };
    if (head.length) sent(head);
    socket.on("data", sent);
    daemon.on("data", (bytes) => socket.write(bytes));
    for (const [one, other] of [[socket, daemon], [daemon, socket]]) {
      one.on("close", () => other.destroy());
      one.on("error", () => other.destroy());
    }
  }
}

/** The line that tells that alice is IDLE. */
const eventIn = (output) => output.split("\n").find((line) => line.includes('"to":"IDLE"') && line.endsWith("}"));

async function run(presencectl, options, environment, onLine) {
  const child = spawn(presencectl, options, { stdio: ["ignore", "pipe", "inherit"], env: environment });
  let output = "";
  child.stdout.on("data", (text) => {
    output += text;
    if (onLine && eventIn(output)) onLine(child);
  });
  const code = await within(options.join(" "), new Promise((resolve) => child.once("exit", resolve)));
  return { code, output };
}

/** The names of the commands in the help. */
function commandsOf(presencectl) {
  const help = spawnSync(presencectl, ["--help"], { encoding: "utf8" }).stdout;
  const list = help.split("Commands:\n")[1].split("\n\n")[0];
  return [...list.matchAll(/^ {2}(\S+) {2}/gm)].map(([, name]) => name);
}

export async function recordCommands(presencectl, daemon, directory) {
  const recorded = new Set([...COMMANDS.map(([name]) => name), ...WITHOUT_JSON]);
  const missing = commandsOf(presencectl).filter((name) => !recorded.has(name));
  if (missing.length) throw new Error(`add to COMMANDS: ${missing}`);
  const home = join(directory, "home");
  mkdirSync(home);
  const secret = join(home, "secret");
  writeFileSync(secret, daemon.secret, { mode: 0o600 });
  const taker = new Taker(daemon);
  const setup = await taker.all(SETUP);
  const proxy = await RecordingProxy.before(daemon);
  const environment = { PATH: process.env.PATH, HOME: home, XDG_STATE_HOME: directory };
  const found = ["--server", `http://${proxy.address}`, "--secret-file", secret];
  const csv = [];
  for (const command of TABLES) {
    const { output } = await run(presencectl, [...found, ...command, "-o", "csv"], environment);
    csv.push({ arguments: command, header: output.split(/\r?\n/)[0] });
  }
  proxy.take();
  const commands = [];
  for (const command of COMMANDS) {
    const isStream = command[0] === "events";
    const isLocal = ["context", "token"].includes(command[0]);
    const options = command.map((word) => (word === "JWT_KEY" ? join(daemon.data, "jwt-key") : word));
    const streaming = run(presencectl, [...(isLocal ? [] : found), ...options, "-o", isStream ? "ndjson" : "json"], environment, isStream && ((child) => child.kill("SIGINT")));
    if (isStream) {
      // Until the command has read one.
      const changing = setInterval(() => {
        const customStatus = changing.isIdle ? "ONLINE" : "IDLE";
        changing.isIdle = !changing.isIdle;
        void taker.all([request("user alice", "PUT", "/api/user/custom-status", { customStatus })]);
      }, 700);
      await streaming.finally(() => clearInterval(changing));
      await taker.all([request("user alice", "PUT", "/api/user/custom-status", { customStatus: "ONLINE" })]);
    }
    const { code, output } = await streaming;
    const text = isStream ? eventIn(output) : output;
    const json = text.trim() ? JSON.parse(text) : null;
    commands.push({ arguments: command, code, json, ...proxy.take() });
  }
  return { setup, csv, commands };
}
