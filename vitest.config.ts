import { defineConfig } from "vitest/config";

const alias = { runbook: new URL("./src/runbook/words.ts", import.meta.url).pathname };

// "fast" is what `npm run check` plays; the rest start processes, servers or Debian's own peers.
const slow = ["test/**/*.slow.test.ts"];

export default defineConfig({
  test: {
    // One worker a core: much of what the slow tests do is waiting for servers and clocks.
    maxWorkers: 2,
    projects: [
      {
        resolve: { alias },
        test: { name: "fast", include: ["test/**/*.test.ts"], exclude: slow, testTimeout: 60_000 },
      },
      {
        resolve: { alias },
        test: { name: "slow", include: slow, testTimeout: 120_000, hookTimeout: 120_000 },
      },
    ],
  },
});
