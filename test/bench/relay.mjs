/**
 * A way to a server that takes its time: what is sent arrives half a round trip later, in either direction, and a connection
 * takes a whole one to be made. It stands in for `tc netem`, which needs root and a kernel that has it, and delays both sides
 * of a row in the same way. What a real way has beside delay (loss, a window that must grow) it does not have.
 */
import { connect, createServer } from "node:net";
import { performance } from "node:perf_hooks";

export async function openRelay({ address, port }, roundTripMs) {
  const oneWay = roundTripMs / 2;
  const server = createServer({ noDelay: true }, (near) => {
    // The client believes to be connected at once. It would be after a round trip, and the server after half of one.
    const connectedAt = performance.now() + roundTripMs;
    setTimeout(() => {
      const far = connect({ host: address, port, noDelay: true });
      pass(near, far, oneWay, connectedAt);
      pass(far, near, oneWay, 0);
    }, oneWay);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: server.address().port, close: () => server.close() };
}

/** In order and each piece late by as much, also the end. */
function pass(from, to, oneWay, notBefore) {
  const later = (act) => {
    const due = Math.max(performance.now(), notBefore) + oneWay;
    setTimeout(act, due - performance.now());
  };
  from.on("data", (bytes) => later(() => to.write(bytes)));
  from.on("end", () => later(() => to.end()));
  from.on("error", () => later(() => to.destroy()));
  from.on("close", () => later(() => to.destroySoon()));
}
