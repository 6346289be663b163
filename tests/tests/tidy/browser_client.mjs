// Runs the browser client of docs/protocol.md with a fake page, socket and clock. Fails by throwing.
import assert from "node:assert";
import { readFileSync } from "node:fs";

const text = readFileSync(process.argv[2], "utf8");
const source = text.match(/```js\n(\/\/ presence\.js[\s\S]*?)```/)[1];
let time = 0;
const [listeners, intervals, timeouts, sockets, states, shown] = [{}, [], [], [], [], []];
Object.defineProperty(globalThis, "performance", { value: { now: () => time } });
console.error = () => {};
Date.now = () => assert.fail("the computer's clock is not asked");
globalThis.setInterval = (run) => intervals.push(run);
globalThis.clearInterval = () => intervals.splice(0);
globalThis.setTimeout = (run) => timeouts.push(run);
globalThis.document = { hidden: false, addEventListener: (kind, run) => (listeners[kind] = run) };
globalThis.WebSocket = class {
  static OPEN = 1;
  readyState = 1;
  sent = [];
  constructor() {
    sockets.push(this);
  }
  send(message) {
    this.sent.push(JSON.parse(message));
  }
  close() {}
  hear(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
  of(type) {
    return this.sent.filter((message) => message.type === type);
  }
};
const settle = () => new Promise((done) => setImmediate(done));
const record = (userId, revision) => ({ userId, revision, status: "ONLINE" });
const { connectPresence } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const presence = connectPresence({
  url: "ws://x/ws",
  getToken: async () => "t",
  userIds: ["bob", "carol"],
  onRecord: (user) => shown.push(user.userId),
  onState: (state, reason) => states.push([state, reason]),
});
async function welcomed() {
  await settle();
  const socket = sockets.at(-1);
  socket.hear({ type: "welcome", user: record("me", 1), pingSeconds: 25 });
  return socket;
}
async function answered(socket) {
  for (const { id, userIds } of socket.of("watch")) {
    socket.hear({ type: "snapshot", id, cursor: "1.1", done: true, users: userIds.map((user) => record(user, 1)) });
  }
  await settle();
}
async function reconnected(code = 1006) {
  sockets.at(-1).onclose({ code });
  timeouts.splice(0).forEach((run) => run());
  return welcomed();
}

let socket = await welcomed();
assert.deepEqual(states, [["connecting", undefined]], "nothing is live before the snapshot");
await answered(socket);
assert.deepEqual(states.at(-1), ["live", undefined]);
assert.deepEqual(socket.of("activity"), [{ type: "activity" }], "somebody opened the page");

// A server that may be behind says so, and when it is right again.
socket.hear({ type: "stale", stale: true });
assert.deepEqual(states.at(-1), ["stale", undefined]);
socket.hear({ type: "stale", stale: false });
assert.deepEqual(states.splice(-2), [["stale", undefined], ["live", undefined]]);

// Reconnecting is no activity: without an input the user becomes idle, and stays so.
time = 200_000;
socket.onclose({ code: 1006 });
await settle();
assert.deepEqual(states.at(-1), ["waiting", undefined]);
timeouts.splice(0).forEach((run) => run());
socket = await welcomed();
await answered(socket);
assert.deepEqual(states.slice(-3).map(([state]) => state), ["waiting", "connecting", "live"]);
time = 301_000;
intervals.forEach((run) => run());
assert.deepEqual(socket.of("activity").at(-1), { type: "activity", idle: true });
socket = await reconnected();
assert.deepEqual(socket.of("activity"), [{ type: "activity", idle: true }], "true after a reconnect");
time = 302_000;
listeners.keydown();
assert.deepEqual(socket.of("activity").at(-1), { type: "activity" }, "an input ends it at once");
const reports = socket.of("activity").length;
listeners.keydown();
assert.equal(socket.of("activity").length, reports, "once every 30 s is enough");
time = 333_000;
listeners.keydown();
assert.equal(socket.of("activity").length, reports + 1);

// Other users.
await answered(socket);
presence.setUsers(["carol", "dave"]);
assert.deepEqual(socket.of("unwatch"), [{ type: "unwatch", userIds: ["bob"] }]);
assert.deepEqual(socket.of("watch").at(-1).userIds, ["dave"]);
assert(!presence.records.has("bob"));
socket = await reconnected();
assert.deepEqual(socket.of("watch").flatMap((message) => message.userIds).sort(), ["carol", "dave"]);

// A kick ends it, and says so.
socket.hear({ type: "goodbye", reason: "kicked" });
socket.onclose({ code: 4003 });
assert.deepEqual(states.at(-1), ["stopped", "kicked"]);
