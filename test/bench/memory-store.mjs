/** A store that keeps nothing: rows stay in this process's memory, and no disk is asked. What S4 calls "journal off". */
export function memoryStore() {
  let runs = 0;
  const lease = new Map();
  return {
    newRunId: () => `memory${(runs += 1)}`,
    create: async (first, at, run) => {
      const rows = [];
      const writer = {
        run,
        fence: 1,
        rows: () => rows.slice(),
        append: async (kind, body, when) => {
          const row = { n: rows.length + 1, at: when, kind, body };
          rows.push(row);
          return row;
        },
        assertHeld: () => undefined,
        releaseReserve: () => undefined,
        close: async () => undefined,
      };
      await writer.append(first.kind, first.body, at);
      return writer;
    },
    takeLease: async (cluster, holder) => void lease.set(cluster, holder),
    renewLease: async (cluster, holder) => void lease.set(cluster, holder),
    releaseLease: async (cluster) => void lease.delete(cluster),
    findLease: async (cluster) => lease.get(cluster),
    findPoints: async () => undefined,
    keepPoints: async () => undefined,
    receive: async () => [],
    list: async () => [],
    freeBytes: async () => undefined,
    listen: () => () => undefined,
    findHolds: async () => [],
  };
}
