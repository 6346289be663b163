// A gateway: reports that a user is there, as a push service or a game server would, then reads the record back.
//
//   PRESENCED_URL=http://127.0.0.1:7420 PRESENCED_SECRET=… node report.mjs USER [ONLINE|IDLE|DO_NOT_DISTURB|OFFLINE]
//
// The secret is the back end's: it acts for every user and never goes to a page.

const url = process.env.PRESENCED_URL ?? "http://127.0.0.1:7420";
const secret = process.env.PRESENCED_SECRET;
const [userId, status = "ONLINE"] = process.argv.slice(2);
if (!secret || !userId) {
  console.error("usage: PRESENCED_SECRET=… node report.mjs USER [STATUS]");
  process.exit(2);
}

async function call(path, options = {}) {
  const response = await fetch(url + path, { ...options, headers: { "x-secret-token": secret, ...options.headers } });
  const body = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${body.code}: ${body.detail}`);
  return body;
}

await call("/api/user/realtime", {
  method: "PUT",
  headers: { "x-user-id-encoded": encodeURIComponent(userId) },
  // Without a refresh the report ends by itself, so a gateway that crashes leaves nobody behind.
  body: JSON.stringify({ status, updateLastActive: status === "ONLINE", source: "example", ttlSeconds: 60 }),
});

const record = await call(`/api/presence/${encodeURIComponent(userId)}`);
console.log(`${record.userId} is ${record.status}, last active ${record.lastActive ?? "never"}`);
