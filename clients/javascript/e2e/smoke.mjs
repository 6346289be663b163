// The built package in another runtime, with the WebSocket that this has: two users see each other come, change and
// leave. PRESENCED_WS names the daemon's WebSocket, TOKEN_ANN and TOKEN_BOB are tokens.
import { connect } from "../dist/index.js";

const client = (token) => connect({ url: process.env.PRESENCED_WS, getToken: () => token, onError: console.error });
const shown = [];
const bob = client(process.env.TOKEN_BOB);
const sees = (status) =>
  new Promise((resolve) => {
    const stop = bob.watch(["ann"], (changes) => {
      if (changes.get("ann")?.status !== status) return;
      shown.push(status);
      stop();
      resolve();
    });
  });

await sees("OFFLINE");
const ann = client(process.env.TOKEN_ANN);
await ann.updateCustomStatus("ONLINE");
await sees("ONLINE");
await ann.updateCustomStatus("DO_NOT_DISTURB");
await sees("DO_NOT_DISTURB");
ann.close();
await sees("OFFLINE");
bob.close();
console.log(shown.join(" "));
