import { CAR, startApp, temporaryDirectory } from './helpers.js';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'node:test';
import { openCache } from '../src/cache.js';

const SQLITE = 'sqlite::memory:';

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const timed = async (work) => {
  const began = performance.now();
  return [await work(), performance.now() - began];
};

/** A server that is none: what it does with a connection is up to the test. */
async function listen(t, onConnection) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `redis://127.0.0.1:${server.address().port}`;
}

describe('a cache that is no help', () => {
  const kinds = {
    'is not there': async () => `redis://127.0.0.1:${await freePort()}`,
    'says nothing': (t) => listen(t, () => {}),
    'hangs up': (t) => listen(t, (socket) => socket.destroy()),
    'talks nonsense': (t) => listen(t, (socket) => socket.on('data', () => socket.write('+nonsense\r\n'))),
    'refuses the password': (t) => listen(t, (socket) => socket.on('data', () => socket.write('-NOAUTH Authentication required.\r\n'))),
  };
  for (const [kind, url] of Object.entries(kinds)) {
    test(`${kind}: no error, and no more than a moment`, async (t) => {
      const { call } = await startApp(t, { url: SQLITE, cacheUrl: await url(t) });
      const [created] = await timed(() => call('POST', '/api/listings', CAR));
      assert.equal(created.status, 201);
      for (let round = 0; round < 3; round += 1) {
        const [answer, milliseconds] = await timed(() => call('GET', '/api/listings'));
        assert.deepEqual([answer.status, answer.json.items.length], [200, 1]);
        assert.ok(milliseconds < 1500, `${milliseconds} ms`);
      }
    });
  }
});

const program = ['valkey-server', 'redis-server'].find((name) => {
  try {
    return execFileSync(name, ['--version']);
  } catch {
    return undefined;
  }
});

describe('a real cache', { skip: program ? false : 'neither valkey-server nor redis-server is in PATH' }, () => {
  async function start(t, port, ...options) {
    const directory = temporaryDirectory(t);
    const server = spawn(program, ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', directory, ...options], { stdio: 'ignore' });
    const gone = new Promise((resolve) => server.once('exit', resolve));
    t.after(async () => {
      server.kill('SIGKILL');
      await gone;
    });
    return { server, gone };
  }

  async function usable(cache) {
    while ((await cache.position()) === undefined) await sleep(50);
  }

  test('keeps a search until something is written', async (t) => {
    const port = await freePort();
    const cacheUrl = `redis://:s3cret@127.0.0.1:${port}`;
    await start(t, port, '--requirepass', 's3cret');
    const probe = openCache(cacheUrl);
    t.after(() => probe.close());
    await usable(probe);
    const { call, database } = await startApp(t, { url: SQLITE, cacheUrl });
    const total = async (query = '') => (await call('GET', `/api/listings${query}`)).json.items.length;
    while ((await call('POST', '/api/listings', CAR)) && (await probe.position()) === '') await sleep(50);
    const before = await total();

    const queries = t.mock.method(database, 'query');
    assert.equal(await total(), before);
    assert.equal(queries.mock.callCount(), 0, 'the second one costs the database nothing');
    assert.equal(await total('?q=nothing'), 0, 'another search is another one');
    assert.ok(queries.mock.callCount() > 0);
    await call('POST', '/api/listings', CAR);
    assert.equal(await total(), before + 1);
  });

  test('an older write does not take the place of a later one', async (t) => {
    const port = await freePort();
    await start(t, port);
    const cache = openCache(`redis://127.0.0.1:${port}`);
    t.after(() => cache.close());
    await usable(cache);
    for (const position of ['000000000000000b', '000000000000000a']) await cache.advance(position);
    assert.equal(await cache.position(), '000000000000000b');
  });

  test('is used again when it is back', async (t) => {
    const port = await freePort();
    const first = await start(t, port);
    const cache = openCache(`redis://127.0.0.1:${port}`);
    t.after(() => cache.close());
    await usable(cache);
    first.server.kill('SIGKILL');
    await first.gone;
    assert.equal(await cache.position(), undefined);
    await start(t, port);
    await usable(cache);
  });

  test('TLS is checked unless the URL says not to', async (t) => {
    const directory = temporaryDirectory(t);
    const [key, certificate] = ['key', 'crt'].map((end) => path.join(directory, `server.${end}`));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', certificate, '-days', '1', '-subj', '/CN=cache'], { stdio: 'ignore' });
    const port = await freePort();
    await start(t, 0, '--tls-port', `${port}`, '--tls-cert-file', certificate, '--tls-key-file', key, '--tls-auth-clients', 'no');
    const unchecked = openCache(`rediss://127.0.0.1:${port}?sslmode=no-verify`);
    const checked = openCache(`rediss://127.0.0.1:${port}`);
    t.after(() => Promise.all([unchecked.close(), checked.close()]));
    await usable(unchecked);
    await sleep(500);
    assert.equal(await checked.position(), undefined);
  });
});
