// The REST call that sets the custom status where there is no connection.

import type { Environment } from "./environment.ts";
import { PresenceError } from "./errors.ts";
import type { CustomStatus, OwnRecord } from "./protocol.ts";

const TIMEOUT_MS = 10_000;

/**
 * Resolves once the custom status is on the server's disk.
 * Rejects with the server's code, or with `disconnected` if the server could not be reached or could not take it now.
 */
export async function putCustomStatus(env: Environment, restUrl: string, token: string, customStatus: CustomStatus): Promise<OwnRecord> {
  try {
    const response = await (env.fetch as typeof fetch)(`${restUrl}/api/user/custom-status`, {
      method: "PUT",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ customStatus }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const { now: _, ...body } = (await response.json()) as OwnRecord & { now?: string; code?: string; detail?: string };
    if (response.ok) return body;
    // The server starts, stops or is full: the same as no answer.
    const isTemporary = response.status > 501 && body.code !== "store_unavailable";
    const retryAfterMs = Number(response.headers.get("retry-after")) * 1000;
    throw new PresenceError(isTemporary ? "disconnected" : (body.code ?? "disconnected"), body.detail, retryAfterMs || undefined);
  } catch (cause) {
    throw cause instanceof PresenceError ? cause : new PresenceError("disconnected", String(cause));
  }
}
