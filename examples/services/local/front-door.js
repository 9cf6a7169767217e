import http from 'node:http';
import { once } from 'node:events';

/**
 * What the load balancer's path rules do: /api/<service> and all below it go to that service, nothing else goes anywhere. A service that
 * does not answer is a 502, as of a load balancer whose target refuses.
 *
 * @param {Record<string, string>} targets URLs by the name of the service
 * @param {number} port 0 for a free one
 */
export async function openFrontDoor(targets, port) {
  // As long as a load balancer keeps an idle connection.
  const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const [, name] = /^\/api\/([a-z]+)(?:[/?]|$)/.exec(request.url) ?? [];
    if (!targets[name]) return response.writeHead(404).end();
    const headers = { ...request.headers, 'x-forwarded-for': request.socket.remoteAddress };
    const onward = http.request(new URL(request.url, targets[name]), { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
    return request.pipe(onward);
  });
  await once(server.listen(port, '127.0.0.1'), 'listening');
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}
