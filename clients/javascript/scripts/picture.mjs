// Makes docs/demo.png from the real page: a daemon with --demo, and two windows of it in a real browser side by side.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

// The daemon refuses variables with its prefix that it does not know.
const { PRESENCED_BIN = "../../target/release/presenced", CHROMIUM = "/usr/bin/chromium", ...environment } = process.env;

const PICTURE = "../../docs/demo.png";
const LIMIT_BYTES = 150 * 1000;
const WINDOW = { width: 470, height: 930 };
const START_TIMEOUT_MS = 30_000;

/** Starts a daemon on a free port, and returns it with the address that it prints. */
async function startDaemon(directory) {
  const flags = ["--demo", "--listen", "127.0.0.1:0", "--data-dir", directory, "--log-level", "error"];
  const daemon = spawn(PRESENCED_BIN, flags, { stdio: ["ignore", "pipe", "inherit"], env: environment });
  const url = await new Promise((resolve, reject) => {
    let printed = "";
    daemon.stdout.on("data", (data) => {
      printed += data;
      const [url] = /http:\/\/\S+\/demo/.exec(printed) ?? [];
      if (url) resolve(url);
    });
    daemon.once("error", reject);
    daemon.once("exit", (code) => {
      reject(new Error(`the daemon has ended with ${code}`));
    });
    setTimeout(() => reject(new Error("the daemon prints no address")), START_TIMEOUT_MS).unref();
  });
  return { daemon, url };
}

/** A window of somebody, in a context of its own, once it is connected. */
async function openAs(browser, url, name) {
  const context = await browser.newContext({ viewport: WINDOW, colorScheme: "light", reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.goto(`${url}?user=${name}`);
  await page.getByText("Connected.").waitFor();
  return page;
}

const setStatus = (page, status) => page.locator(`#statuses [data-status="${status}"]`).click();
const sees = (page, name, status) => page.locator(`[data-user="${name}"] .status[data-status="${status}"]`).waitFor();

/** Both windows on one page, each with its address above it. */
async function sideBySide(browser, windows) {
  const shots = [];
  for (const { page, address } of windows) {
    const image = (await page.screenshot()).toString("base64");
    shots.push(`<figure><figcaption>${address}</figcaption><img src="data:image/png;base64,${image}" alt=""></figure>`);
  }
  const page = await browser.newPage({ viewport: { width: 2 * WINDOW.width + 66, height: WINDOW.height + 80 } });
  await page.setContent(`<!doctype html><style>
    body { display: flex; gap: 20px; margin: 0; padding: 20px; background: #d9dee6; font: 14px system-ui, sans-serif; }
    figure { margin: 0; border: 1px solid #9aa4b2; border-radius: 8px; overflow: hidden; background: #e9ecf1; }
    figcaption { padding: 8px 12px; color: #333; }
    img { display: block; width: ${WINDOW.width}px; height: ${WINDOW.height}px; }
  </style>${shots.join("")}`);
  return page.screenshot();
}

const directory = mkdtempSync(join(tmpdir(), "presenced-picture-"));
const { daemon, url } = await startDaemon(directory);
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
try {
  const [ada, ben, cleo, dan] = await Promise.all(["ada", "ben", "cleo", "dan"].map((name) => openAs(browser, url, name)));
  await setStatus(cleo, "DO_NOT_DISTURB");
  for (const page of [ada, ben]) await sees(page, "cleo", "DO_NOT_DISTURB");
  await dan.close();
  for (const page of [ada, ben]) await sees(page, "dan", "OFFLINE");
  await setStatus(ben, "IDLE");
  for (const page of [ada, ben]) await sees(page, "ben", "IDLE");
  const windows = [ada, ben].map((page, index) => ({ page, address: `127.0.0.1:7420/demo?user=${["ada", "ben"][index]}` }));
  const picture = await sideBySide(browser, windows);
  if (picture.length > LIMIT_BYTES) throw new Error(`the picture has ${picture.length} bytes, more than ${LIMIT_BYTES}`);
  writeFileSync(PICTURE, picture);
  console.log(`docs/demo.png: ${picture.length} bytes`);
} finally {
  await browser.close();
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  daemon.kill();
  await ended;
  rmSync(directory, { recursive: true, force: true });
}
