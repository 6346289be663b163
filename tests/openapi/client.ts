// A program that uses the types of `presenced.d.ts`, which openapi-typescript makes from the OpenAPI document of a running daemon.
// `tsc --strict` checks it: each line that must not compile says so.
import type { components, operations, paths } from "./presenced.js";

type PresenceRecord = components["schemas"]["Record"];
type ErrorOf<Call extends keyof operations, Status extends keyof operations[Call]["responses"]> =
  operations[Call]["responses"][Status] extends { content: { "application/problem+json": infer Problem } } ? Problem : never;

const page = {} as operations["listPresence"]["responses"][200]["content"]["application/json"];
const next: string | null = page.next;
const online: number = page.counts.ONLINE;

/** The words for a record. A status that is added has to be handled here. */
export function describe(record: PresenceRecord): string {
  const since: string = record.since ?? "never";
  switch (record.status) {
    case "ONLINE":
    case "IDLE":
    case "DO_NOT_DISTURB":
      return `${record.userId} is ${record.status} since ${since}, with ${record.sessions ?? "some"} sessions`;
    case "OFFLINE":
      return `${record.userId} is OFFLINE, last seen ${record.lastSeen ?? "never"}`;
  }
}

export async function setStatus(url: string, token: string, customStatus: components["schemas"]["CustomStatus"]) {
  const path = "/api/user/custom-status" satisfies keyof paths;
  const body: components["schemas"]["SetCustomStatus"] = { customStatus };
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(url + path, { method: "PUT", headers, body: JSON.stringify(body) });
  if (response.ok) {
    const answer = (await response.json()) as components["schemas"]["RecordResponse"];
    return `${describe(answer)} at ${answer.now}`;
  }
  const problem = (await response.json()) as ErrorOf<"setCustomStatus", 400> | ErrorOf<"setCustomStatus", 503>;
  switch (problem.code) {
    case "store_unavailable":
    case "invalid_custom_status":
      return problem.detail;
    // @ts-expect-error: no answer to this call has this code
    case "no_other_node":
    default:
      return problem.title;
  }
}

export const report: components["schemas"]["Report"] = { status: "IDLE", source: null, ttlSeconds: 60 };

// @ts-expect-error: a status is one of four
export const wrongStatus: components["schemas"]["Report"] = { status: "AWAY" };

// @ts-expect-error: nobody wants to be shown as OFFLINE
export const wrongCustomStatus: components["schemas"]["SetCustomStatus"] = { customStatus: "OFFLINE" };

// @ts-expect-error: the ids are required
export const wrongQuery: components["schemas"]["Query"] = {};

// @ts-expect-error: a field that is absent is not null
export const wrongRecord: PresenceRecord["sessions"] = null;

// @ts-expect-error: there is no such call
export const wrongPath: keyof paths = "/api/user/status";

export const listing: operations["listPresence"]["parameters"]["query"] = { status: "IDLE", limit: 10, cursor: next ?? "" };
export const upgrade: operations["connect"]["parameters"]["header"]["Upgrade"] = "websocket";
export const tooMany: ErrorOf<"queryPresence", 400>["code"] = "too_many";
export const count = online;
