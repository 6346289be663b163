// A real daemon with its own directory and port, which the test ends by its process id.

import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { PRESENCED_BIN = "../../target/debug/presenced", VITEST_POOL_ID = "1", ...environment } = process.env;

/** Below the ephemeral ports, one of which might be taken while a daemon is stopped; other tests of this project have those above. */
const FIRST_PORT = 10_000;
const PORTS_PER_WORKER = 500;

export interface PresenceAnswer {
  readonly userId: string;
  readonly status: string;
  readonly since: string | null;
  readonly lastActive: string | null;
  readonly sessions: number;
}

export class Daemon {
  readonly #directory = mkdtempSync(join(tmpdir(), "presenced-e2e-"));
  readonly #flags: readonly string[];
  readonly port: number;
  #process: ChildProcess | undefined;
  #secret: string | undefined;

  private constructor(port: number, flags: readonly string[]) {
    this.port = port;
    this.#flags = flags;
  }

  static async start(...flags: string[]): Promise<Daemon> {
    const daemon = new Daemon(await freePort(), flags);
    await daemon.startAgain().catch(async (error: unknown) => {
      await daemon.remove();
      throw error;
    });
    return daemon;
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  async startAgain(): Promise<void> {
    const flags = ["--listen", `127.0.0.1:${this.port}`, "--data-dir", this.#directory, ...this.#flags];
    this.#process = spawn(PRESENCED_BIN, flags, { stdio: "ignore", env: environment });
    const daemon = this.#process;
    await waitFor(async () => daemon.exitCode !== null || (await fetch(`http://127.0.0.1:${this.port}/readyz`)).ok);
    if (daemon.exitCode !== null) throw new Error(`the daemon has ended with ${daemon.exitCode}: ${flags.join(" ")}`);
  }

  /** Waits until everything that was changed is on disk: a crash loses nothing then. */
  async written(): Promise<void> {
    await waitFor(async () => {
      const metrics = await (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text();
      return /^presenced_pending_writes(\{.*\})? 0$/m.test(metrics);
    });
  }

  /** Ends in order, or as a crash does. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const process = this.#process;
    if (!process || process.exitCode !== null || process.signalCode !== null) return;
    const ended = new Promise((resolve) => process.once("exit", resolve));
    process.kill(signal);
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A token that is valid for so long. */
  token(userId: string, seconds = 300): string {
    const key = readFileSync(join(this.#directory, "jwt-key"), "utf8").trim();
    const encoded = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const signed = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded({ sub: userId, exp: Math.floor(Date.now() / 1000) + seconds })}`;
    return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
  }

  get secret(): string {
    return (this.#secret ??= readFileSync(join(this.#directory, "secret"), "utf8").trim());
  }

  async call(path: string, options: RequestInit = {}): Promise<unknown> {
    const headers = { "x-secret-token": this.secret, ...(options.headers as Record<string, string>) };
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, { ...options, headers });
    return response.json();
  }

  async presence(userId: string): Promise<PresenceAnswer> {
    return (await this.call(`/api/presence/${encodeURIComponent(userId)}`)) as PresenceAnswer;
  }
}

let lastPort = process.pid;

/** A port that nobody has, and that no other worker gives to its daemons. */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < PORTS_PER_WORKER; attempt += 1) {
    const port = FIRST_PORT + (Number(VITEST_POOL_ID) % 19) * PORTS_PER_WORKER + (++lastPort % PORTS_PER_WORKER);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => {
        resolve(false);
      });
      server.listen(port, "127.0.0.1", () => {
        server.close(() => {
          resolve(true);
        });
      });
    });
    if (isFree) return port;
  }
  throw new Error("no free port");
}

/** Lets time pass: for what must not happen in it. */
export async function pass(millis: number): Promise<void> {
  const until = performance.now() + millis;
  await waitFor(() => performance.now() >= until, millis + 60_000);
}

/** Waits until a condition holds, asking again and again; an error counts as "not yet". */
export async function waitFor(condition: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> {
  const end = performance.now() + limitMs;
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
