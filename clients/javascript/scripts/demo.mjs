// Builds the daemon's demonstration page: demo/ and the library in one HTML file, which the daemon has in it.
// With --check nothing is written: fails if the file in the tree is not what the sources build.
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { MANGLED } from "./mangled.mjs";

const PAGE = "../../presenced/src/api/demo.html";

/** Bundled and minified. */
async function bundled(entryPoint) {
  const { outputFiles } = await build({
    entryPoints: [entryPoint],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    mangleProps: MANGLED,
    write: false,
  });
  return outputFiles[0].text.trim();
}

/** Puts a text into the one empty element that begins and ends so. */
function fill(html, start, end, text) {
  const parts = html.split(start + end);
  if (parts.length !== 2) throw new Error(`demo/index.html must have one ${start}${end}`);
  if (text.includes(end)) throw new Error(`a source has ${end} in it`);
  return parts.join(start + text + end);
}

let html = readFileSync("demo/index.html", "utf8");
html = fill(html, "<style>", "</style>", await bundled("demo/style.css"));
html = fill(html, '<script type="module">', "</script>", await bundled("demo/main.ts"));
if (!process.argv.includes("--check")) writeFileSync(PAGE, html);
else if (readFileSync(PAGE, "utf8") !== html) {
  console.error("presenced/src/api/demo.html is not what clients/javascript/demo builds: run scripts/client demo");
  process.exitCode = 1;
}
