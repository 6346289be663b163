// One browser for all test files: each connects to it, and its contexts are its own.

import { chromium } from "playwright-core";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the browser's server listens. */
    readonly browserUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  const browser = await chromium.launchServer({ executablePath, args: ["--no-sandbox"] });
  project.provide("browserUrl", browser.wsEndpoint());
  return () => browser.close();
}
