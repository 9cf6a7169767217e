import { serve, SERVICE_SECRET } from '@vahana-example/shared/testing';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Peer, ServiceTokens } from '../src/index.js';

const tokens = new ServiceTokens('insurance', [SERVICE_SECRET]);
// Long enough for a busy machine to answer in time.
const TIMES = { deadlineMs: 40_000, tolerated: 3, restMs: 200 };

/** A service that answers as it is told, a status each time, the last one for good; 0 for not at all. */
async function other(...statuses) {
  const asked = [];
  const url = await serve((request, response) => {
    asked.push(request.headers);
    const status = statuses.length > 1 ? statuses.shift() : statuses[0];
    if (status !== 0) response.writeHead(status, { 'Content-Type': 'application/json' }).end('{"a": 1}');
  });
  return { url, asked, now: (...others) => statuses.splice(0, statuses.length, ...others) };
}

test('a call is signed for its receiver and carries the id of its request', async () => {
  const { url, asked } = await other(200);
  const answer = await new Peer('cars', url, tokens, TIMES).call('GET', '/x', { requestId: 'r-1' });
  assert.deepEqual(answer, { status: 200, body: { a: 1 } });
  assert.equal(asked[0]['x-request-id'], 'r-1');
  const receiver = new ServiceTokens('cars', ['another secret of 32 characters!', SERVICE_SECRET]);
  assert.equal(await receiver.verify({ headers: asked[0] }), 'insurance');
  await assert.rejects(new ServiceTokens('auth', [SERVICE_SECRET]).verify({ headers: asked[0] }), { status: 401 });
  await assert.rejects(new ServiceTokens('cars', ['another secret of 32 characters!']).verify({ headers: asked[0] }), { status: 401 });
});

test('what does no harm is tried again', async () => {
  const { url, asked } = await other(503, 502, 200);
  assert.equal((await new Peer('cars', url, tokens, TIMES).call('GET', '/x')).status, 200);
  assert.equal(asked.length, 3);
  const second = await other(503, 201);
  const answer = await new Peer('payment', second.url, tokens, TIMES).call('POST', '/x', { body: {}, idempotencyKey: 'key-1234' });
  assert.equal(answer.status, 201);
  assert.deepEqual(second.asked.map((headers) => headers['idempotency-key']), ['key-1234', 'key-1234']);
});

test('but not for ever', async () => {
  const { url, asked } = await other(503);
  await assert.rejects(new Peer('cars', url, tokens, TIMES).call('GET', '/x'), { status: 503 });
  assert.equal(asked.length, 4);
});

test('what may be done once only is not', async () => {
  const { url, asked } = await other(503, 201);
  await assert.rejects(new Peer('payment', url, tokens, TIMES).call('POST', '/x', { body: {} }), { status: 503, code: 'payment_unavailable' });
  assert.equal(asked.length, 1);
});

test('a refusal is an answer', async () => {
  const { url, asked } = await other(404);
  assert.equal((await new Peer('cars', url, tokens, TIMES).call('GET', '/x')).status, 404);
  assert.equal(asked.length, 1);
});

test('a service without an answer costs no more than the deadline', async () => {
  const { url } = await other(0);
  const began = performance.now();
  const peer = new Peer('cars', url, tokens, { ...TIMES, deadlineMs: 400 });
  await assert.rejects(peer.call('GET', '/x'), { status: 503 });
  assert.ok(performance.now() - began < 5000);
});

test('a service that fails often is left alone, and found again when it is back', async () => {
  const { url, asked, now } = await other(500);
  const peer = new Peer('cars', url, tokens, TIMES);
  for (let call = 0; call < 3; call += 1) await assert.rejects(peer.call('POST', '/x'), { code: 'cars_unavailable' });
  await assert.rejects(peer.call('POST', '/x'), { code: 'cars_unavailable' });
  assert.equal(asked.length, 3);
  await sleep(250);
  await assert.rejects(peer.call('POST', '/x'));
  assert.equal(asked.length, 4);
  now(200);
  await sleep(250);
  assert.equal((await peer.call('POST', '/x')).status, 200);
  now(500, 200);
  // All is forgiven: one failure is one again.
  await assert.rejects(peer.call('POST', '/x'));
  assert.equal((await peer.call('POST', '/x')).status, 200);
});
