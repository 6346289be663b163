// A site with one page that uses the package as it is built, and the tokens of whoever its address names.

import { createServer, type Server } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import type { Daemon } from "./daemon.ts";

const PAGE = `<!doctype html><meta charset="utf-8"><title>presence</title><p id="shown"></p>
<script>
  globalThis.sockets = 0;
  globalThis.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      sockets += 1;
    }
  };
</script>
<script type="module">
  import { connect } from "/dist/index.js";
  import { shareTabs } from "/dist/tabs.js";
  const openedAt = Date.now();
  const query = new URLSearchParams(location.search);
  const getToken = async () => (await fetch("/token?" + query)).text();
  const client = connect({
    url: query.get("url"),
    getToken,
    idleAfterMs: Number(query.get("idle") ?? 300000),
    ...(query.has("share") && { tabs: shareTabs() }),
  });
  const shown = [];
  const states = [];
  client.connection.subscribe(() => states.push(client.connection.getSnapshot().status));
  client.watch([query.get("watch")], (changes) => {
    for (const record of changes.values()) if (record?.status !== shown.at(-1)) shown.push(record?.status);
  });
  // Trusted ones: those that the browser fires.
  const lifecycle = [];
  for (const type of ["freeze", "resume"])
    document.addEventListener(type, (event) => event.isTrusted && lifecycle.push(type));
  Object.assign(globalThis, { client, shown, states, lifecycle, openedAt });
</script>`;

export interface Visit {
  readonly user: string;
  readonly watch: string;
  /** How long tokens are valid. */
  readonly seconds?: number;
  readonly idle?: number;
  readonly share?: boolean;
  /** Another address of the daemon's WebSocket. */
  readonly url?: string;
}

export class Site {
  readonly #server: Server;
  readonly #pages = new Map<string, string>();
  #daemon: Daemon | undefined;

  private constructor() {
    this.#server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? "/", this.origin);
      const answer = async (): Promise<string> => {
        if (pathname === "/token") return this.#daemon?.token(searchParams.get("user") ?? "", Number(searchParams.get("seconds") ?? 300)) ?? "";
        if (pathname.startsWith("/dist/")) return readFile(join(".", normalize(pathname)), "utf8");
        const page = this.#pages.get(pathname);
        if (page !== undefined) return page;
        return pathname === "/other" ? "<!doctype html><title>other</title>" : PAGE;
      };
      answer().then(
        (body) => {
          response.setHeader("content-type", pathname.endsWith(".js") ? "text/javascript" : "text/html");
          response.end(body);
        },
        () => {
          response.statusCode = 404;
          response.end();
        },
      );
    });
  }

  static async start(): Promise<Site> {
    const site = new Site();
    await new Promise<void>((resolve) => site.#server.listen(0, "127.0.0.1", resolve));
    return site;
  }

  set daemon(daemon: Daemon) {
    this.#daemon = daemon;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** One more page. */
  add(path: string, html: string): void {
    this.#pages.set(path, html);
  }

  /** Of a page for somebody. */
  address({ share, ...visit }: Visit, path = "/", query: Record<string, string> = {}): string {
    const entries = Object.entries({ url: this.#daemon?.wsUrl ?? "", ...visit, ...query }).map(([key, value]) => [key, String(value)]);
    return `${this.origin}${path}?${new URLSearchParams([...entries, ...(share ? [["share", ""]] : [])]).toString()}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
