import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CAR, startApp } from './helpers.js';

const md5 = (text) => createHash('md5').update(text).digest('hex');

/** As much of SQS as a producer needs: it keeps what is sent, by queue, and fails as it is told. */
async function startSqs(t) {
  const sqs = { messages: new Map(), failing: () => false };
  const server = http.createServer(async (request, response) => {
    const { QueueUrl, Entries } = JSON.parse(Buffer.concat(await request.toArray()).toString());
    const queue = QueueUrl.split('/').at(-1);
    response.setHeader('Content-Type', 'application/x-amz-json-1.0');
    if (sqs.failing(queue) === 'refused') return response.writeHead(400).end('{"__type": "AccessDeniedException", "message": "no"}');
    const failed = sqs.failing(queue) === 'half' ? Entries.splice(0, 1) : [];
    for (const entry of Entries) sqs.messages.set(queue, [...(sqs.messages.get(queue) ?? []), JSON.parse(entry.MessageBody)]);
    const answer = {
      // The client compares the digest with what it sent.
      Successful: Entries.map(({ Id, MessageBody }) => ({ Id, MessageId: Id, MD5OfMessageBody: md5(MessageBody) })),
      Failed: failed.map(({ Id }) => ({ Id, Code: 'InternalError', Message: 'later', SenderFault: false })),
    };
    return response.end(JSON.stringify(answer));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close() && server.closeAllConnections());
  Object.assign(process.env, {
    AWS_ENDPOINT_URL: `http://127.0.0.1:${server.address().port}`,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  });
  return sqs;
}

const queueUrls = ['email', 'analytics'].map((name) => `https://sqs.us-east-1.amazonaws.com/123456789012/${name}`);

async function until(condition) {
  for (let attempt = 0; !(await condition()); attempt += 1) {
    assert.ok(attempt < 500, 'it did not come');
    await sleep(20);
  }
}

const waiting = async (database) => (await database.query('SELECT id FROM listings WHERE to_announce')).rows.length;

test('each queue is told of a listing once, after it is stored', async (t) => {
  const sqs = await startSqs(t);
  const { call, database } = await startApp(t, { url: 'sqlite::memory:', queueUrls });
  const { json: listing } = await call('POST', '/api/listings', CAR);
  await until(async () => (await waiting(database)) === 0);
  const event = { id: listing.id, type: 'listing.created', time: listing.created_at, listing };
  assert.deepEqual(sqs.messages.get('email'), [event]);
  assert.deepEqual(sqs.messages.get('analytics'), [event]);
  await call('PUT', `/api/listings/${listing.id}`, CAR);
  assert.equal((await call('POST', '/api/listings', { ...CAR, price: 'much' })).status, 400);
  await sleep(100);
  assert.equal(sqs.messages.get('email').length, 1);
});

test('a request does not fail with SQS, and its messages are sent later', async (t) => {
  const sqs = await startSqs(t);
  sqs.failing = (queue) => queue === 'email' && 'refused';
  const { call, database } = await startApp(t, { url: 'sqlite::memory:', queueUrls, sweepMs: 50 });
  for (let number = 0; number < 12; number += 1) assert.equal((await call('POST', '/api/listings', CAR)).status, 201);
  await sleep(200);
  assert.equal(await waiting(database), 12);
  assert.equal(sqs.messages.get('email'), undefined);
  sqs.failing = () => false;
  await until(async () => (await waiting(database)) === 0);
  assert.equal(new Set(sqs.messages.get('email').map(({ id }) => id)).size, 12);
});

test('a message that is refused alone is sent again', async (t) => {
  const sqs = await startSqs(t);
  sqs.failing = () => 'half';
  const { call, database } = await startApp(t, { url: 'sqlite::memory:', queueUrls, sweepMs: 50 });
  await call('POST', '/api/listings', CAR);
  await sleep(100);
  assert.equal(await waiting(database), 1);
  sqs.failing = () => false;
  await until(async () => (await waiting(database)) === 0);
});

test('without queues nothing is remembered and nothing is sent', async (t) => {
  const sqs = await startSqs(t);
  const { call, database } = await startApp(t, { url: 'sqlite::memory:' });
  assert.equal((await call('POST', '/api/listings', CAR)).status, 201);
  await sleep(50);
  assert.equal(await waiting(database), 0);
  assert.equal(sqs.messages.size, 0);
});
