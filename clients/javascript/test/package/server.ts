// A server over real sockets that knows just what the examples of the README need.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";

const now = () => new Date().toISOString();

function record(userId: string, extra: object = {}): object {
  return { userId, status: "ONLINE", since: now(), lastSeen: now(), lastActive: now(), revision: 1, ...extra };
}

export interface ExampleServer {
  readonly httpUrl: string;
  readonly wsUrl: string;
  readonly requests: string[];
  close(): void;
}

export async function startServer(): Promise<ExampleServer> {
  const requests: string[] = [];
  let customStatus = "ONLINE";
  const own = () => record("me", { customStatus, sessions: 1 });
  const http: Server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += String(part)));
    request.on("end", () => {
      requests.push(`${request.method ?? ""} ${request.url ?? ""}`);
      const answer = request.url === "/api/user/custom-status" ? own() : record(decodeURIComponent(request.url?.split("/").at(-1) ?? ""));
      if (request.url === "/api/user/custom-status") ({ customStatus } = JSON.parse(body) as { customStatus: string });
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ now: now(), ...answer, ...(request.url === "/api/user/custom-status" && { customStatus }) }));
    });
  });
  const sockets = new WebSocketServer({ server: http, path: "/ws", handleProtocols: () => "presence.v1" });
  sockets.on("connection", (socket) => {
    const tell = (message: object) => {
      socket.send(JSON.stringify({ now: now(), ...message }));
    };
    tell({ type: "welcome", sessionId: "s", user: own(), pingSeconds: 25 });
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { type: string; id: number; userIds: string[]; customStatus: string };
      if (message.type === "watch")
        tell({ type: "snapshot", id: message.id, cursor: "c", resumed: false, done: true, users: message.userIds.map((id) => record(id)) });
      if (message.type === "setStatus") {
        ({ customStatus } = message);
        tell({ type: "ok", id: message.id, user: own() });
      }
    });
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as AddressInfo;
  return {
    httpUrl: `http://127.0.0.1:${port}`,
    wsUrl: `ws://127.0.0.1:${port}/ws`,
    requests,
    close: () => {
      sockets.close();
      http.closeAllConnections();
      http.close();
    },
  };
}
