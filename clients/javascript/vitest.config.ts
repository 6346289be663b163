import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/*.test.ts", "test/*.test.tsx"], testTimeout: 60_000 } },
      // What is built: needs dist/.
      { test: { name: "package", include: ["test/package/*.test.ts"], testTimeout: 30_000 } },
      { test: { name: "e2e", include: ["e2e/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 60_000, fileParallelism: false } },
    ],
  },
});
