import net from 'node:net';
import { once } from 'node:events';
import { atEnd } from './end.js';

/**
 * The way to a server, which a test can cut: what is connected is reset, and so is whoever tries.
 *
 * @param {string} url of the server
 * @returns {Promise<{url: string, cut: () => void, mend: () => void}>} with the URL of the way
 */
export async function linkTo(url) {
  const target = new URL(url);
  const sockets = new Set();
  let whole = true;
  const server = net.createServer((near) => {
    near.on('error', () => {});
    if (!whole) return near.resetAndDestroy();
    const far = net.connect(Number(target.port), target.hostname);
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.on('error', () => {}).on('close', () => sockets.delete(one) && other.destroy());
      one.pipe(other);
    }
    return far;
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const cut = () => {
    whole = false;
    for (const socket of sockets) socket.resetAndDestroy();
  };
  atEnd(() => server.close() && cut());
  const way = new URL(url);
  way.host = `127.0.0.1:${server.address().port}`;
  return { url: way.href, cut, mend: () => (whole = true) };
}
