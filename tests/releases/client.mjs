// Uses the client library of a release, as a program of its time would, with the daemon at an address:
//
//   node client.mjs LIBRARY ADDRESS JWT_KEY
//
// It sees its own status and that of a user it watches, loses its connection, and continues its session and its watch. What it was
// told is one line of JSON each; it ends with 0 once it has seen everything.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { token, within } from "./steps.mjs";
import { WebSocket } from "./websocket.mjs";

const [library, address, keyFile] = process.argv.slice(2);
const { connect } = await import(pathToFileURL(library).href);
const key = readFileSync(keyFile, "utf8").trim();

/** The sockets of alice, with what was received over each. */
const sockets = [];
class Watched extends WebSocket {
  received = [];

  constructor(url, protocols) {
    super(url, protocols);
    sockets.push(this);
    let deliver = () => {};
    const receive = (event) => {
      this.received.push(JSON.parse(event.data));
      deliver(event);
    };
    Object.defineProperty(this, "onmessage", { get: () => receive, set: (wanted) => (deliver = wanted) });
  }
}

const client = (userId, Socket) => connect({ url: `ws://${address}/ws`, getToken: () => token(key, userId), WebSocket: Socket, onError: fail });
const say = (what) => console.log(JSON.stringify(what));

function fail(error) {
  console.error(error);
  process.exit(1);
}

function until(what, store, fits) {
  const found = new Promise((resolve) => {
    const look = () => {
      const value = store.getSnapshot();
      if (!fits(value)) return;
      stop?.();
      resolve(value);
    };
    const stop = store.subscribe(look);
    look();
  });
  return within(what, found);
}

const isLive = ({ status }) => status === "live";

const alice = client("alice", Watched);
alice.watch(["bob"], () => {});
await until("alice is connected", alice.connection, isLive);
await alice.updateCustomStatus("DO_NOT_DISTURB");
say({ own: (await until("her own status", alice.own, (own) => own.customStatus === "DO_NOT_DISTURB" && !own.isPending)).customStatus });

const bob = client("bob", WebSocket);
say({ bob: (await until("bob comes", alice.user("bob"), (record) => record?.status === "ONLINE")).status });
await bob.updateCustomStatus("IDLE");
say({ bob: (await until("bob changes", alice.user("bob"), (record) => record?.status === "IDLE")).status });

sockets[0].terminate();
await until("the loss is noticed", alice.connection, (state) => !isLive(state));
await until("alice is connected again", alice.connection, isLive);
const again = sockets[1].received;
say({ resumed: again.find(({ type }) => type === "ok")?.resumed, snapshotResumed: again.find(({ type }) => type === "snapshot")?.resumed });
await bob.updateCustomStatus("ONLINE");
say({ bob: (await until("bob changes again", alice.user("bob"), (record) => record?.status === "ONLINE")).status });

bob.close();
say({ bob: (await until("bob leaves", alice.user("bob"), (record) => record?.status === "OFFLINE")).status });
alice.close();
process.exit(0);
