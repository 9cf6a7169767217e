import { atEnd, serviceToken, startService, testCommon, until } from '@vahana-example/shared/testing';
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { sign } from '../src/providers/signature.js';
import { service as payment } from '../src/service.js';

const WEBHOOK_SECRET = 'known-to-the-provider-and-to-us-only';
const service = await startService(payment, { WEBHOOK_SECRET: `${randomBytes(32).toString('hex')},${WEBHOOK_SECRET}`, PROVIDER_TIMEOUT_MS: '200' });
const { call, database, databaseLink, sqs, issuer } = service;
atEnd(service.assertAllSeen);

const user = randomUUID();
const token = issuer.token({ id: user });
const insurance = () => serviceToken('insurance', 'payment');
const key = (value = randomUUID()) => ({ 'Idempotency-Key': value });
const INTENT = {
  user_id: user,
  amount: 1234500,
  reference: 'quote-1',
  description: 'Insurance of a Tata Nexon EV',
  expires_at: new Date(Date.now() + 3600_000).toISOString(),
};
const make = async (more = {}, headers = key()) =>
  (await call('POST', '/internal/payment/intents', { token: insurance(), headers, body: { ...INTENT, ...more } })).body;
const confirm = (intent, method, headers = key(), by = token) =>
  call('POST', `/api/payment/intents/${intent.id}/confirmation`, { token: by, headers, body: { payment_method: method } });
const look = async (intent) => (await call('GET', `/api/payment/intents/${intent.id}`, { token })).body;
const told = (type, intent, listener = 'insurance') =>
  sqs.events(listener).filter((event) => event.type === type && event.data.intent_id === intent.id);
const orders = (intent) => database.query('SELECT * FROM orders WHERE intent_id = $1 ORDER BY created_at', [intent.id]);

testCommon(service);

test('services ask for payments, nobody else', async () => {
  const intent = await make();
  assert.deepEqual([intent.status, intent.currency, intent.refunded], ['requires_payment', 'INR', 0]);
  const others = [undefined, token, serviceToken('insurance', 'cars'), serviceToken('insurance', 'payment', 'x'.repeat(32))];
  for (const bearer of others) {
    assert.equal((await call('POST', '/internal/payment/intents', { token: bearer, headers: key(), body: INTENT })).status, 401);
  }
  const cars = await call('POST', '/internal/payment/intents', { token: serviceToken('cars', 'payment'), headers: key(), body: INTENT });
  assert.deepEqual([cars.status, cars.body.code], [403, 'not_for_you']);
  const keyless = await call('POST', '/internal/payment/intents', { token: insurance(), body: INTENT });
  assert.deepEqual([keyless.status, keyless.body.fields], [400, { 'idempotency-key': 'is required' }]);
});

test('asking twice with one key asks once', async () => {
  const headers = key();
  const [one, other] = await Promise.all([make({}, headers), make({}, headers)]);
  assert.deepEqual(one, other);
  const reused = await call('POST', '/internal/payment/intents', { token: insurance(), headers, body: { ...INTENT, amount: 1 } });
  assert.deepEqual([reused.status, reused.body.code], [409, 'key_reused']);
});

test('only whom it is for sees it and pays it', async () => {
  const intent = await make();
  const stranger = issuer.token();
  assert.equal((await call('GET', `/api/payment/intents/${intent.id}`, { token: stranger })).status, 404);
  assert.equal((await confirm(intent, 'pm_succeeds', key(), stranger)).status, 404);
  assert.deepEqual((await call('GET', '/api/payment/intents', { token: stranger })).body, { items: [] });
  assert.equal((await call('GET', '/api/payment/intents', { token })).body.items[0].id, intent.id);
});

test('a payment succeeds once, and who asked for it is told', async () => {
  const intent = await make();
  const headers = key();
  const answers = await Promise.all(Array.from({ length: 4 }, () => confirm(intent, 'pm_succeeds', headers)));
  for (const { status } of answers) assert.ok([200, 202].includes(status));
  const { status, body } = await confirm(intent, 'pm_succeeds', headers);
  assert.deepEqual([status, body.status], [200, 'succeeded']);
  assert.equal((await orders(intent)).length, 1);
  const { data } = (await until(() => told('payment.succeeded', intent)[0]));
  assert.deepEqual(data, {
    intent_id: intent.id,
    user_id: user,
    reference: 'quote-1',
    description: INTENT.description,
    currency: 'INR',
    amount: 1234500,
    reason: null,
  });
  await until(() => told('payment.succeeded', intent, 'notification').length === 1);
  assert.equal((await confirm(intent, 'pm_succeeds')).body.code, 'already_paid');
  assert.equal((await confirm(intent, 'pm_declined', headers)).body.code, 'key_reused');
});

test('a declined payment may be tried again, with another key', async () => {
  const intent = await make();
  const headers = key();
  for (let repeat = 0; repeat < 2; repeat += 1) {
    const { status, body } = await confirm(intent, 'pm_declined', headers);
    assert.deepEqual([status, body.detail], [402, 'the payment was declined: insufficient_funds']);
  }
  assert.deepEqual([(await look(intent)).status, (await look(intent)).decline_reason], ['requires_payment', 'insufficient_funds']);
  await until(() => told('payment.failed', intent).length === 1);
  assert.equal((await confirm(intent, 'pm_of_nobody')).status, 402);
  assert.equal((await confirm(intent, 'pm_succeeds')).status, 200);
  assert.equal((await look(intent)).decline_reason, null);
  assert.equal((await confirm(intent, '4242424242424242')).status, 400);
});

test('a provider that is busy is asked again', async () => {
  const intent = await make();
  assert.equal((await confirm(intent, 'pm_needs_retry')).status, 200);
});

test('a provider that does not answer says later what became of it', async () => {
  const intent = await make();
  const { status, body } = await confirm(intent, 'pm_times_out');
  assert.deepEqual([status, body.status], [202, 'processing']);
  assert.equal((await confirm(intent, 'pm_succeeds')).body.code, 'payment_in_progress');
  await until(async () => (await look(intent)).status === 'succeeded');
  await until(() => told('payment.succeeded', intent).length === 1);
  // By its webhook: nobody has asked again.
  assert.equal((await orders(intent))[0].attempts, 0);
});

/** A charge as a process leaves it that was killed: written, the provider not asked. @returns its id */
async function leaveBehind(intent, takenFor) {
  await database.query("UPDATE intents SET status = 'processing' WHERE id = $1", [intent.id]);
  const [{ id }] = await database.query(
    `INSERT INTO orders (intent_id, kind, amount, payment_method, taken_until)
     VALUES ($1, 'charge', $2, 'pm_succeeds', now() + $3::interval) RETURNING id`,
    [intent.id, intent.amount, takenFor],
  );
  return id;
}

test('a charge whose process was killed is asked for by another', async () => {
  const intent = await make();
  await leaveBehind(intent, '0 s');
  await until(async () => (await look(intent)).status === 'succeeded');
  assert.equal((await orders(intent))[0].attempts, 1);
});

test('what has expired is not paid any more', async () => {
  const intent = await make({ expires_at: new Date(Date.now() - 1000).toISOString() });
  const { status, body } = await confirm(intent, 'pm_succeeds');
  assert.deepEqual([status, body.code], [410, 'expired']);
});

test('a webhook counts only if the provider signed it, lately', async () => {
  const send = (body, signature) =>
    call('POST', '/api/payment/webhooks/provider', {
      raw: body,
      headers: { 'Content-Type': 'application/json', ...(signature && { 'Provider-Signature': signature }) },
    });
  const intent = await make();
  const id = await leaveBehind(intent, '1 hour');
  const body = JSON.stringify({ type: 'charge.settled', charge_id: id, outcome: 'declined', reason: 'stolen_card' });
  const ago = Math.floor(Date.now() / 1000) - 600;
  for (const signature of [sign('another', body), sign(WEBHOOK_SECRET, `${body} `), sign(WEBHOOK_SECRET, body, ago)]) {
    assert.equal((await send(body, signature)).status, 401);
  }
  assert.equal((await send(body)).status, 400);
  for (let repeat = 0; repeat < 2; repeat += 1) assert.equal((await send(body, sign(WEBHOOK_SECRET, body))).status, 204);
  assert.equal((await look(intent)).decline_reason, 'stolen_card');
  await until(() => told('payment.failed', intent).length === 1);
  const unknown = JSON.stringify({ type: 'charge.settled', charge_id: randomUUID(), outcome: 'declined' });
  assert.equal((await send(unknown, sign(WEBHOOK_SECRET, unknown))).status, 404);
});

test('what was paid is refunded once for each request, and never more than that', async () => {
  const intent = await make();
  await confirm(intent, 'pm_succeeds');
  const request = (amount) => ({ id: randomUUID(), type: 'refund.requested', data: { intent_id: intent.id, amount } });
  const first = request(1000000);
  sqs.put('payment', first);
  sqs.put('payment', first);
  await until(() => told('payment.refunded', intent).length === 1);
  assert.equal(told('payment.refunded', intent)[0].data.amount, 1000000);
  sqs.put('payment', request(234501));
  sqs.put('payment', request(234500));
  await until(() => told('payment.refunded', intent).length === 2);
  assert.equal((await look(intent)).refunded, intent.amount);
  assert.equal((await orders(intent)).filter(({ kind }) => kind === 'refund').length, 2);
});

test('without its database it says that it is away, and for how long to wait', async () => {
  const intent = await make();
  databaseLink.cut();
  const { status, body, headers } = await confirm(intent, 'pm_succeeds');
  databaseLink.mend();
  assert.deepEqual([status, body.code, headers.get('retry-after')], [503, 'database_unavailable', '2']);
  assert.equal((await confirm(intent, 'pm_succeeds')).status, 200);
});
