import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/*.test.ts", "test/*.test.tsx"], testTimeout: 60_000 } },
      // What is built: needs dist/.
      { test: { name: "package", include: ["test/package/*.test.ts"], testTimeout: 30_000 } },
      // They wait most of the time, so files run at once, and so do the tests of each.
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          globalSetup: "e2e/browser-setup.ts",
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
