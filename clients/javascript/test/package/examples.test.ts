// @vitest-environment happy-dom
// The examples of the README and examples/ as they stand, with the package as it is built.

import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { transform } from "esbuild";
import { createElement, type ComponentType } from "react";
import { createRoot } from "react-dom/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import WebSocket from "ws";
import { type ExampleServer, startServer } from "./server.ts";

const DIRECTORY = ".examples"; // in the package, so that its own name can be imported
const run = promisify(execFile);
let server: ExampleServer;

beforeAll(async () => {
  mkdirSync(DIRECTORY, { recursive: true });
  server = await startServer();
});

afterAll(() => {
  server.close();
});

/** The code blocks of the README in a language, with the server's address in place of the example's. */
function blocks(language: string): string[] {
  const readme = readFileSync("README.md", "utf8");
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, "gm"))].map(([, code = ""]) =>
    code.replaceAll("wss://presence.example.org/ws", server.wsUrl),
  );
}

async function runNode(name: string, code: string): Promise<string> {
  const file = `${DIRECTORY}/${name}.mjs`;
  writeFileSync(file, code);
  const env = { ...process.env, PRESENCED_WS: server.wsUrl, PRESENCED_TOKEN: "token" };
  const { stdout } = await run(process.execPath, [file], { env, timeout: 20_000 });
  return stdout;
}

test("the example of a page", async () => {
  const page = `import WebSocket from "ws"; globalThis.WebSocket ??= WebSocket;
    const call = fetch; globalThis.fetch = (url, init) => (url === "/presence-token" ? { text: () => "token" } : call(url, init));`;
  writeFileSync(`${DIRECTORY}/page.mjs`, page);
  const stdout = await runNode("in-page", `import "./page.mjs";\n${blocks("js")[0] ?? ""}`);
  expect(stdout).toContain("DO_NOT_DISTURB\n");
});

test("the example of Node.js", async () => {
  expect(await runNode("in-node", blocks("js")[1] ?? "")).toBe("bob is ONLINE\n");
});

test("the example of React", async () => {
  const { code } = await transform(blocks("jsx")[0] ?? "", { loader: "jsx", jsx: "automatic" });
  writeFileSync(`${DIRECTORY}/in-react.mjs`, code);
  const globals = { WebSocket, fetchToken: () => "token" };
  Object.assign(globalThis, globals);
  const { App } = (await import(`${process.cwd()}/${DIRECTORY}/in-react.mjs`)) as { App: ComponentType };
  const container = document.createElement("div");
  const root = createRoot(container);
  root.render(createElement(App));
  await expect.poll(() => container.innerHTML).toContain('<span class="ONLINE">bob</span><p>2 here</p>');
  root.unmount();
});

test("the example of a gateway", async () => {
  const env = { ...process.env, PRESENCED_URL: server.httpUrl, PRESENCED_SECRET: "secret" };
  const { stdout } = await run(process.execPath, ["examples/report.mjs", "zoë"], { env });
  expect(stdout).toMatch(/^zoë is ONLINE, last active 2/);
  expect(server.requests).toContain("PUT /api/user/realtime");
});

test("the package has types for each entry and nothing but what it names", () => {
  const { exports } = JSON.parse(readFileSync("package.json", "utf8")) as { exports: Record<string, { types: string; default: string }> };
  for (const entry of Object.values(exports)) {
    expect(readFileSync(entry.types, "utf8")).toContain("export");
    expect(readFileSync(entry.default, "utf8")).toContain("export");
  }
});
