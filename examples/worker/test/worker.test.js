import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';

/** As much of S3 as the handlers need: objects in memory and the conditional write. */
const objects = new Map();
let broken = false;
const s3 = http.createServer(async (request, response) => {
  const chunks = await request.toArray();
  if (broken) return response.writeHead(400).end('<Error><Code>AccessDenied</Code><Message>no</Message></Error>');
  if (request.headers['if-none-match'] === '*' && objects.has(request.url)) {
    return response.writeHead(412).end('<Error><Code>PreconditionFailed</Code><Message>exists</Message></Error>');
  }
  objects.set(request.url, Buffer.concat(chunks).toString());
  return response.writeHead(200, { ETag: '"x"' }).end();
});
await once(s3.listen(0, '127.0.0.1'), 'listening');
test.after(() => s3.close() && s3.closeAllConnections());

Object.assign(process.env, {
  AWS_ENDPOINT_URL: `http://127.0.0.1:${s3.address().port}`,
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  OUTPUT_BUCKET: 'output',
});
const handlers = {};
for (const queue of ['email', 'notifications', 'analytics']) {
  // Only now: the client of S3 is made when the module is loaded.
  handlers[queue] = (await import(`../src/${queue}.js`)).handler;
}

const LISTING = {
  id: '4b3f1c52-0b8e-4c1c-9a55-2f1d1f4b8a10',
  make: 'Tata',
  model: 'Nexon EV',
  year: 2024,
  price: 1450000,
  fuel: 'electric',
  city: 'Pune',
  description: 'One owner',
};
const event = (id) => ({ id, type: 'listing.created', time: '2026-01-01T00:00:00.000Z', listing: LISTING });
const record = (messageId, body) => ({
  messageId,
  body: typeof body === 'string' ? body : JSON.stringify(body),
  attributes: { ApproximateReceiveCount: '1' },
});
const invoke = (queue, ...records) => handlers[queue]({ Records: records }, { awsRequestId: 'request-1' });
const kept = (queue, id) => JSON.parse(objects.get(`/output/worker/${queue}/${id}.json?x-id=PutObject`));

test('each queue makes its own of the same event', async () => {
  for (const queue of Object.keys(handlers)) {
    assert.deepEqual(await invoke(queue, record('m-1', event('event-1'))), { batchItemFailures: [] });
    const { event_id: id, message_id: message, queue: from } = kept(queue, 'event-1');
    assert.deepEqual([id, message, from], ['event-1', 'm-1', queue]);
  }
  assert.equal(kept('email', 'event-1').output.subject, 'New listing: Tata Nexon EV (2024)');
  assert.equal(kept('notifications', 'event-1').output.link, `/cars/${LISTING.id}`);
  assert.equal(kept('analytics', 'event-1').output.price, 1450000);
  assert.ok(!('description' in kept('analytics', 'event-1').output));
});

test('an event is worked on once, whatever message brings it', async () => {
  await invoke('email', record('m-1', event('event-2')));
  const first = kept('email', 'event-2');
  // Delivered again, moved back from the dead letter queue, and sent twice in one batch.
  const again = await invoke('email', record('m-1', event('event-2')), record('m-9', event('event-2')));
  assert.deepEqual(again, { batchItemFailures: [] });
  assert.deepEqual(kept('email', 'event-2'), first);
  const twice = await invoke('email', record('m-2', event('event-3')), record('m-3', event('event-3')));
  assert.deepEqual(twice, { batchItemFailures: [] });
});

test('of a batch only what failed comes again', async () => {
  const poison = [
    'no JSON',
    { ...event('event-4'), id: '../../elsewhere' },
    { ...event('event-4'), type: 'listing.sold' },
    { id: 'event-4', type: 'listing.created' },
    'null',
  ];
  const answer = await invoke('email', ...poison.map((body, index) => record(`bad-${index}`, body)), record('good', event('event-5')));
  assert.deepEqual(answer.batchItemFailures.map((each) => each.itemIdentifier), poison.map((_, index) => `bad-${index}`));
  assert.equal(kept('email', 'event-5').message_id, 'good');
});

test('what cannot be kept is not done', async () => {
  broken = true;
  assert.deepEqual(await invoke('email', record('m-6', event('event-6'))), { batchItemFailures: [{ itemIdentifier: 'm-6' }] });
  broken = false;
  assert.deepEqual(await invoke('email', record('m-6', event('event-6'))), { batchItemFailures: [] });
  assert.equal(kept('email', 'event-6').message_id, 'm-6');
});
