import { atEnd, until } from '@vahana-example/shared/testing';
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { SearchCache } from '../src/cache.js';

/** A server on loopback that does with a connection what it is told. @returns {Promise<string>} its URL */
async function listen(onConnection) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `redis://127.0.0.1:${server.address().port}`;
}

/** As much of Redis as the cache needs (RESP2: a request is an array of texts). */
function redis() {
  const values = new Map();
  const text = (value) => (value === undefined ? '$-1\r\n' : `$${Buffer.byteLength(value)}\r\n${value}\r\n`);
  const commands = {
    info: () => text('redis_version:7.2.0\r\nloading:0'),
    get: (key) => text(values.get(key)),
    set: (key, value) => values.set(key, value) && '+OK\r\n',
    incr: (key) => values.set(key, String(Number(values.get(key) ?? 0) + 1)) && `:${values.get(key)}\r\n`,
  };
  const serve = (socket) => {
    let rest = '';
    socket.on('data', (chunk) => {
      rest += chunk;
      for (;;) {
        const [, count] = /^\*(\d+)\r\n/.exec(rest) ?? [];
        const parts = count && rest.split('\r\n').slice(0, 1 + 2 * Number(count));
        if (!parts || rest.split('\r\n').length <= parts.length) return;
        rest = rest.slice(parts.join('\r\n').length + 2);
        const [name, ...args] = parts.filter((_, index) => index > 0 && index % 2 === 0);
        socket.write(commands[name.toLowerCase()]?.(...args) ?? '+OK\r\n');
      }
    });
  };
  return { values, serve };
}

function open(url) {
  const cache = new SearchCache(url);
  atEnd(() => cache.stop());
  return cache;
}

const unhelpful = {
  'is not wanted': async () => '',
  'is not there': async () => 'redis://127.0.0.1:1',
  'says nothing': () => listen(() => {}),
  'hangs up': () => listen((socket) => socket.destroy()),
  'talks nonsense': () => listen((socket) => socket.on('data', () => socket.write('+nonsense\r\n'))),
  'refuses the password': () => listen((socket) => socket.on('data', () => socket.write('-NOAUTH Authentication required.\r\n'))),
};
for (const [kind, url] of Object.entries(unhelpful)) {
  test(`a cache that ${kind} makes no error`, async () => {
    const cache = open(await url());
    for (let round = 0; round < 3; round += 1) {
      assert.deepEqual(await cache.through({ q: '' }, async () => ({ round })), { round });
      await cache.renew();
    }
  });
}

test('a search is kept until something is written', async () => {
  const { serve, values } = redis();
  const cache = open(await listen(serve));
  let asked = 0;
  const search = (filter) => cache.through(filter, async () => ({ asked: ++asked }));
  // Until it is connected all is asked for.
  await until(async () => (await search({ q: 'first' })) && [...values.keys()].some((key) => key.startsWith('cars:search:0:')));
  const before = asked;
  assert.deepEqual(await search({ q: 'first' }), { asked: before });
  assert.deepEqual(await search({ q: 'other' }), { asked: before + 1 });
  await cache.renew();
  assert.deepEqual(await search({ q: 'first' }), { asked: before + 2 });
});

test('what is found while something is written is not kept for later', async () => {
  const { serve, values } = redis();
  const cache = open(await listen(serve));
  await until(async () => (await cache.renew()) || values.size > 0);
  await cache.through({ q: 'x' }, async () => {
    await cache.renew();
    return { old: true };
  });
  assert.deepEqual(await cache.through({ q: 'x' }, async () => ({ old: false })), { old: false });
});
