// Fails if the core, minified and gzipped as a page would load it, is larger than its limit.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { MANGLED } from "./mangled.mjs";

const LIMIT_BYTES = 6 * 1024;

async function gzippedBytes(...files) {
  const { outputFiles } = await build({
    stdin: { contents: files.map((file) => `export * from "./src/${file}";`).join(""), resolveDir: "." },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    mangleProps: MANGLED,
    external: ["react"],
    write: false,
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

const core = await gzippedBytes("index.ts");
const withTabs = await gzippedBytes("index.ts", "tabs.ts");
const withReact = await gzippedBytes("index.ts", "react.ts");
console.log(`core ${core} of ${LIMIT_BYTES} bytes, with tabs ${withTabs}, with react ${withReact} (minified, gzipped)`);
if (core > LIMIT_BYTES) {
  console.error("the core is too large");
  process.exitCode = 1;
}
