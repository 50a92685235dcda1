import { defineConfig } from "vitest/config";

const alias = { runbook: new URL("./src/runbook/words.ts", import.meta.url).pathname };

// "fast" is what `npm run check` plays; the rest start processes, servers or Debian's own peers.
const slow = ["test/**/*.slow.test.ts"];
// What plays alone, before the others: it promises a time.
const alone = ["test/runbooks/long-night.test.ts"];

export default defineConfig({
  test: {
    // One more than a small machine has cores: much of what the slow tests do is waiting for servers and clocks.
    maxWorkers: 3,
    projects: [
      {
        resolve: { alias },
        test: { name: "alone", include: alone, testTimeout: 60_000, sequence: { groupOrder: 0 } },
      },
      {
        resolve: { alias },
        test: {
          name: "fast",
          isolate: false,
          include: ["test/**/*.test.ts"],
          exclude: [...slow, ...alone],
          testTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        resolve: { alias },
        test: {
          name: "slow",
          isolate: false,
          include: slow,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
