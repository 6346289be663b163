// Builds dist/: ES modules that share chunks, and their types.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { build } from "esbuild";
import { MANGLED } from "./mangled.mjs";

rmSync("dist", { recursive: true, force: true });
await build({
  entryPoints: { index: "src/index.ts", tabs: "src/tabs.ts", react: "src/react.ts" },
  outdir: "dist",
  bundle: true,
  splitting: true,
  chunkNames: "chunks/[name]-[hash]",
  format: "esm",
  target: "es2022",
  mangleProps: MANGLED,
  external: ["react"],
  sourcemap: true,
});
execFileSync("node_modules/.bin/tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit" });
