import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Stops an HTTP server without losing a request.
 *
 * Closing at once resets keep-alive connections on which a client is just sending. So: go on answering for drainMs, each
 * answer telling its client to close the connection; then stop listening and let requests in flight finish; then linger
 * for what the kernel had accepted already.
 *
 * @param {import('node:http').Server} server
 * @param {{drainMs: number, lingerMs: number, deadlineMs: number}} times in milliseconds; deadlineMs bounds the whole
 * @returns {() => Promise<boolean>} call it to stop; true when everything finished within the deadline
 */
export function gracefulStop(server, { drainMs, lingerMs, deadlineMs }) {
  let stopping;
  const responses = new Set();
  server.prependListener('request', (request, response) => {
    response.shouldKeepAlive &&= !stopping;
    responses.add(response);
    response.once('close', () => responses.delete(response));
  });

  async function stop() {
    // Those already being worked on end their connections as well.
    for (const response of responses) if (!response.headersSent) response.shouldKeepAlive = false;
    const deadline = sleep(deadlineMs, false, { ref: false });
    await sleep(drainMs);
    // Also closes idle connections: after drainMs only clients that sent nothing still have one.
    const closed = new Promise((resolve) => server.close(() => resolve(true)));
    const finished = await Promise.race([closed, deadline]);
    if (!finished) server.closeAllConnections();
    await sleep(lingerMs);
    return finished;
  }

  return () => (stopping ??= stop());
}
