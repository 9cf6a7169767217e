import assert from 'node:assert/strict';
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { caller, searchAll } from './contract.js';
import { CAR, processEnvironment, scripts, temporaryDirectory } from './helpers.js';

const primary = fileURLToPath(new URL('./fixtures/reloading-primary.js', import.meta.url));
const { server } = scripts;

async function environment(t, more = {}) {
  const env = processEnvironment({ DATABASE_URL: `sqlite:${path.join(temporaryDirectory(t), 'reload.sqlite3')}`, ...more });
  const [code] = await once(spawn(process.execPath, [scripts.migrate], { env }), 'exit');
  assert.equal(code, 0);
  return env;
}

/** Sends requests on one connection after another until stopped; never retries. */
async function client(port, agent, counts, running) {
  while (running()) {
    await new Promise((resolve) => {
      const post = counts.sent % 5 === 0;
      const body = post ? JSON.stringify(CAR) : undefined;
      const headers = post ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) } : {};
      counts.sent += 1;
      const request = http.request(
        { host: '127.0.0.1', port, agent, method: post ? 'POST' : 'GET', path: '/api/listings', headers },
        (response) => {
          response.resume();
          response.once('end', () => {
            if (response.statusCode !== (post ? 201 : 200)) counts.lost.push(`status ${response.statusCode}`);
            else if (post) counts.created += 1;
            resolve();
          });
        },
      );
      request.once('error', (error) => {
        counts.lost.push(error.code ?? error.message);
        resolve();
      });
      request.end(body);
    });
  }
}

for (const keepAlive of [true, false]) {
  test(`a reload loses no request of ${keepAlive ? 'keep-alive' : 'new'} connections`, async (t) => {
    const cluster = fork(primary, [server, 'SIGINT'], { env: await environment(t), stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    t.after(() => cluster.kill('SIGKILL'));
    const [{ port }] = await once(cluster, 'message');

    const agent = new http.Agent({ keepAlive, maxSockets: 8 });
    t.after(() => agent.destroy());
    const counts = { sent: 0, created: 0, lost: [] };
    let running = true;
    t.after(() => (running = false));
    const clients = Array.from({ length: 8 }, () => client(port, agent, counts, () => running));
    const exits = [];
    for (let reload = 0; reload < 2; reload += 1) {
      await sleep(200);
      cluster.send('reload');
      exits.push((await once(cluster, 'message', { signal: AbortSignal.timeout(20000) }))[0]);
    }
    await sleep(200);
    running = false;
    await Promise.all(clients);
    assert.deepEqual(exits, [{ exited: 0 }, { exited: 0 }]);
    assert.deepEqual(counts.lost, []);
    assert.ok(counts.sent > 500, `only ${counts.sent} requests were sent`);

    assert.equal((await searchAll(caller(`http://127.0.0.1:${port}`))).length, counts.created);
  });
}

test('an answer in the making is finished; idle connections are told to close; the exit code is 0', async (t) => {
  const child = fork(server, { env: await environment(t, { DRAIN_MS: '400', LINGER_MS: '100' }), stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  assert.deepEqual((await once(child, 'message'))[0], 'ready');
  const { port } = JSON.parse(output.split('\n').find((line) => line.includes('"listening"')));

  // A body that is still being sent when the signal comes, and beyond the drain time.
  const slow = http.request({ host: '127.0.0.1', port, method: 'POST', path: '/api/listings', headers: { 'Content-Type': 'application/json' } });
  const body = JSON.stringify(CAR);
  slow.write(body.slice(0, 20));
  await sleep(100);
  child.kill('SIGTERM');
  child.kill('SIGINT');
  await sleep(100);
  const during = await fetch(`http://127.0.0.1:${port}/api/health`);
  assert.deepEqual([during.status, during.headers.get('connection')], [200, 'close']);
  await sleep(500);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/api/health`), 'it must have stopped listening');
  const answered = once(slow, 'response');
  slow.end(body.slice(20));
  const [response] = await answered;
  assert.deepEqual([response.resume().statusCode, response.headers.connection], [201, 'close']);
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('a port in use and a missing DATABASE_URL end the process with a reason', async (t) => {
  const blocker = http.createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  t.after(() => blocker.close());
  const env = await environment(t);
  for (const [more, reason] of [
    [{ PORT: String(blocker.address().port) }, /EADDRINUSE/],
    [{ DATABASE_URL: '' }, /DATABASE_URL is not set/],
    [{ PORT: '3000x' }, /PORT must be a whole number/],
  ]) {
    const child = spawn(process.execPath, [server], { env: { ...env, ...more } });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    const [code] = await once(child, 'close');
    assert.equal(code, 1);
    assert.match(output, reason);
  }
});
