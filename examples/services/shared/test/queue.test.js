import { atEnd, emptySchema, startSqs, until } from '@vahana-example/shared/testing';
import { SQS } from '@aws-sdk/client-sqs';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { Inbox, Outbox } from '../src/index.js';

const service = { name: 'trial', directory: new URL('./fixtures/', import.meta.url), tables: ['outbox', 'inbox'] };
const fake = await startSqs();
const sqs = new SQS({ useQueueUrlAsEndpoint: false });
const database = await emptySchema(service);
const queueUrls = { insurance: fake.url('insurance'), notification: fake.url('notification') };
const rows = () => database.query('SELECT * FROM outbox');

function outboxOf(more) {
  const outbox = new Outbox({ database, sqs, queueUrls, ...more });
  outbox.start();
  return outbox;
}

test('several processes send each event to each listener, and to each only once', async () => {
  const [one, other] = [outboxOf(), outboxOf()];
  for (let number = 0; number < 25; number += 1) {
    await database.transaction((query) => one.write(query, ['insurance', 'notification'], 'trial', { number }));
    (number % 2 ? one : other).kick();
  }
  await until(async () => (await rows()).length === 0);
  for (const name of ['insurance', 'notification']) {
    const numbers = fake.events(name).map(({ data }) => data.number).sort((a, b) => a - b);
    assert.deepEqual(numbers, Array.from({ length: 25 }, (_, index) => index));
  }
  await Promise.all([one.stop(), other.stop()]);
});

test('what was not committed is not sent', async () => {
  const outbox = outboxOf();
  const before = fake.events('insurance').length;
  const failing = database.transaction(async (query) => {
    await outbox.write(query, ['insurance'], 'trial', {});
    throw new Error('no');
  });
  await assert.rejects(failing, /no/);
  outbox.kick();
  await outbox.stop();
  assert.equal(fake.events('insurance').length, before);
});

test('a refused event stays, and is sent later; what comes last is sent before the end', async () => {
  fake.away = 'half';
  const outbox = outboxOf({ sweepMs: 50 });
  await database.transaction((query) => outbox.write(query, ['insurance'], 'refused', {}));
  outbox.kick();
  await until(async () => (await rows())[0]?.attempts === 1);
  fake.away = false;
  assert.equal((await rows()).length, 1);
  await database.query('UPDATE outbox SET taken_until = now()');
  await until(async () => (await rows()).length === 0);
  assert.equal(fake.events('insurance').filter(({ type }) => type === 'refused').length, 1);
  await database.transaction((query) => outbox.write(query, ['insurance'], 'last', {}));
  await outbox.stop();
  assert.equal(fake.events('insurance').at(-1).type, 'last');
});

const event = (type, data = {}) => ({ id: randomUUID(), type, time: new Date().toISOString(), data });

test('an event is worked on once, whatever message brings it; one that fails comes again', async () => {
  await database.query('CREATE TABLE done (number INTEGER)');
  let failures = 2;
  const handlers = {
    async count(query, { number }) {
      await query('INSERT INTO done VALUES ($1)', [number]);
    },
    async stubborn(query) {
      await query('INSERT INTO done VALUES (100)');
      if (failures-- > 0) throw new Error('not yet');
    },
  };
  const inboxes = [1, 2].map(() => new Inbox({ database, sqs, queueUrl: fake.url('payment'), handlers }));
  for (const inbox of inboxes) inbox.start();
  atEnd(() => Promise.all(inboxes.map((inbox) => inbox.stop())));

  const first = event('count', { number: 1 });
  for (let copy = 0; copy < 5; copy += 1) fake.put('payment', first);
  fake.put('payment', event('count', { number: 2 }));
  fake.put('payment', event('stubborn'));
  fake.put('payment', event('of no concern'));
  await until(() => fake.waiting('payment') === 0);
  const done = (await database.query('SELECT number FROM done ORDER BY number')).map(({ number }) => number);
  assert.deepEqual(done, [1, 2, 100]);
});

test('what is no event stays in the queue, for its redrive policy to take away', async () => {
  for (const poison of ['no JSON', 'null', '{"id": "../x"}', JSON.stringify({ id: randomUUID(), type: 'count' })]) fake.put('payment', poison);
  fake.put('payment', event('count', { number: 3 }));
  await until(async () => (await database.query('SELECT FROM done WHERE number = 3')).length === 1);
  await until(() => fake.waiting('payment') === 4);
});

test('events that nobody can send any more are forgotten', async () => {
  await database.query("INSERT INTO inbox VALUES ($1, now() - interval '41 days')", [randomUUID()]);
  const inbox = new Inbox({ database, sqs, queueUrl: fake.url('insurance'), handlers: {} });
  inbox.start();
  await until(async () => (await database.query("SELECT FROM inbox WHERE received_at < now() - interval '1 day'")).length === 0);
  await inbox.stop();
});
