// Records what a release of presenced and presencectl says, stores and sends: scripts/previous-release runs it.
//
//   node record.mjs PROGRAMS OUTPUT POSTGRES_URL POSTGRES_URL_OF_THE_CLUSTER REDIS_URL
//
// OUTPUT gets conversation.json, presencectl.json, openapi.json, presenced.toml, users.json (the records of the users in the
// databases), and in data/ the data directories of three daemons as a `kill -9` leaves them.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordCommands } from "./commands.mjs";
import { conversation } from "./conversation.mjs";
import { Taker, ask, close, open, request, within } from "./steps.mjs";

const [programs, output, postgresUrl, clusterUrl, redisUrl] = process.argv.slice(2);
const [presenced, presencectl] = ["presenced", "presencectl"].map((name) => join(programs, name));
const directory = mkdtempSync(join(tmpdir(), "presence-record-"));
const running = new Set();

const NODE = ["--node-name", "recorded"];

async function start(name, flags) {
  const data = join(directory, name);
  const all = ["--listen", "127.0.0.1:0", "--data-dir", data, ...NODE, ...flags];
  const environment = { PATH: process.env.PATH, HOME: directory };
  const child = spawn(presenced, all, { stdio: ["ignore", "pipe", "inherit"], env: environment });
  running.add(child);
  const ended = new Promise((resolve) => child.once("exit", resolve)).then(() => running.delete(child));
  const line = new Promise((resolve) => child.stdout.once("data", (text) => resolve(text.toString())));
  const address = (await within("the daemon listens", line)).match(/http:\/\/(\S+)/)[1];
  const [secret, jwtKey] = ["secret", "jwt-key"].map((file) => readFileSync(join(data, file), "utf8").trim());
  const stop = (signal) => {
    child.kill(signal);
    return within("the daemon ends", ended);
  };
  return { address, secret, jwtKey, data, stop };
}

async function until(what, look) {
  const waiting = async () => {
    while (!(await look())) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await within(what, waiting());
}

async function internal({ address, secret }, path) {
  const response = await fetch(`http://${address}${path}`, { headers: { "x-secret-token": secret } });
  return response.json();
}

const custom = (as, customStatus, by) => request(as, "PUT", "/api/user/custom-status", { customStatus, ...(by ? { by } : {}) });
const report = (user, body) => request(`for ${user}`, "PUT", "/api/user/realtime", body);

/** Users of every kind; the sockets of `still-*` are open when the daemon is killed. */
const USERS = [
  custom("user dnd", "DO_NOT_DISTURB"),
  custom("for set-by-operator", "IDLE", "operator"),
  custom("user back-to-online", "IDLE"),
  custom("user back-to-online", "ONLINE"),
  open("left", "user left"),
  ...ask("left", { type: "activity", id: 1 }),
  close("left", 1000),
  report("reported", { status: "ONLINE", source: "gateway", updateLastActive: true }),
  report("reported-dnd", { status: "DO_NOT_DISTURB", source: "gateway" }),
  report("report-ended", { status: "ONLINE", source: "gateway" }),
  report("report-ended", { status: "OFFLINE", source: "gateway" }),
  open("forgotten", "user forgotten"),
  request("internal", "DELETE", "/api/user/forgotten"),
  request("internal", "PUT", "/api/user/custom-status", { customStatus: "IDLE" }),
  open("kicked", "user kicked"),
  request("internal", "DELETE", "/api/presence/kicked/sessions"),
  open("active", "user still-active"),
  ...ask("active", { type: "activity", id: 1 }),
  // Times alone are written once a minute; with a change of status they are written at once.
  ...ask("active", { type: "setStatus", customStatus: "IDLE", id: 2 }),
  ...ask("active", { type: "setStatus", customStatus: "ONLINE", id: 3 }),
  open("idle", "user still-idle"),
  ...ask("idle", { type: "activity", idle: true, id: 1 }),
  open("dnd", "user still-dnd"),
  ...ask("dnd", { type: "setStatus", customStatus: "DO_NOT_DISTURB", id: 1 }),
];
const NAMES = [
  ...["dnd", "set-by-operator", "back-to-online", "left", "reported", "reported-dnd", "report-ended", "forgotten", "kicked"],
  ...["still-active", "still-idle", "still-dnd", "never-seen"],
];

/** Makes the users, and has the daemon killed. */
async function recordUsers(name, flags) {
  const daemon = await start(name, flags);
  const taken = await new Taker(daemon).all(USERS);
  await until("everything is written", async () => (await internal(daemon, "/api/stats")).store.pendingWrites === 0);
  const records = [];
  for (const user of NAMES) records.push(await internal(daemon, `/api/presence/${user}`));
  await until("everything is written", async () => (await internal(daemon, "/api/stats")).store.pendingWrites === 0);
  await daemon.stop("SIGKILL");
  const sessions = taken.filter((step) => step.do === "open").map(({ socket, message }) => [socket, message.sessionId]);
  cpSync(daemon.data, join(output, "data", name), { recursive: true });
  return { records, sessions: Object.fromEntries(sessions) };
}

/** Every setting with a value of its own. What contradicts others, or is a default that can be written, has its default. */
const SETTINGS = {
  "listen": "127.0.0.1:7500", "metrics-listen": "127.0.0.1:7501", "data-dir": "/var/lib/presenced",
  "database": "postgres://presence@db.example.org/presence?sslmode=require", "database-password-file": "/etc/presenced/database-password",
  "redis": "rediss://presence@redis.example.org/3", "redis-password-file": "/etc/presenced/redis-password",
  "redis-ca-file": "/etc/presenced/redis-ca.pem", "partitions": "32", "node-name": "recorded",
  "advertise": "http://10.0.0.1:7500", "lease": "20s", "node-grace": "13s", "drain-rate": "400",
  "secret-file": "/etc/presenced/secret", "jwt-key": "/etc/presenced/jwt.pem", "jwt-issuer": "https://login.example.org",
  "jwt-audience": "presence", "trusted-proxy": "10.0.0.9,10.0.1.0/24", "allowed-origin": "https://chat.example.org",
  "grace": "6s", "restart-grace": "31s", "idle-after": "200s", "ping-interval": "20s", "ping-timeout": "9s",
  "max-connections": "1000", "kept-for-websockets": "100", "connections-per-address": "200", "unauthenticated-connections": "300",
  "max-message": "17KiB", "max-body": "65KiB", "max-query-body": "2MiB", "handshake-timeout": "6s", "http-idle-timeout": "7s",
  "message-timeout": "11s", "write-timeout": "31s", "sessions-per-user": "33", "reports-per-user": "34",
  "watched-per-connection": "5001", "watched-per-user": "40001", "choices-per-10s": "21", "lookups-per-second": "5001",
  "lookups-burst": "20001", "messages-per-second": "31", "messages-burst": "101", "bytes-per-second": "65KiB", "bytes-burst": "2MiB",
  "bad-messages-per-minute": "11", "handshakes-per-second": "51", "handshakes-burst": "201", "failed-logins-per-minute": "12",
  "log-format": "json", "log-level": "warn",
};

/** The configuration with every setting, as the release prints it. */
function recordConfiguration() {
  const flags = Object.entries(SETTINGS).flatMap(([name, value]) => [`--${name}`, value]);
  const printed = spawnSync(presenced, ["--insecure", ...flags, "--print-config"], { encoding: "utf8", env: { HOME: directory } });
  if (printed.status !== 0) throw new Error(printed.stderr);
  if (/^# .* is not set/m.test(printed.stdout)) throw new Error(`a setting without a value: ${printed.stdout}`);
  writeFileSync(join(output, "presenced.toml"), printed.stdout.replaceAll(/ # \S.*$/gm, ""));
}

/** A list has a line for each of what is in it. */
function json(name, value) {
  const lines = (list) => `[\n${list.map((one) => JSON.stringify(one)).join(",\n")}\n]`;
  const fields = () => Object.entries(value).map(([key, one]) => `"${key}": ${Array.isArray(one) ? lines(one) : JSON.stringify(one)}`);
  writeFileSync(join(output, name), `${Array.isArray(value) ? lines(value) : `{\n${fields().join(",\n")}\n}`}\n`);
}

async function main() {
  mkdirSync(output, { recursive: true });
  json("users.json", {
    sqlite: await recordUsers("sqlite", []),
    postgres: await recordUsers("postgres", ["--database", postgresUrl]),
    cluster: await recordUsers("cluster", ["--database", clusterUrl, "--redis", redisUrl, "--partitions", "4"]),
  });
  recordConfiguration();
  let daemon = await start("conversation", []);
  json("openapi.json", await internal(daemon, "/openapi.json"));
  json("conversation.json", await new Taker(daemon).all(conversation));
  await daemon.stop("SIGTERM");
  daemon = await start("presencectl", []);
  json("presencectl.json", await recordCommands(presencectl, daemon, directory));
  await daemon.stop("SIGTERM");
}

try {
  await main();
} finally {
  for (const child of running) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
}
process.exit(0);
