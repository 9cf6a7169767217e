import { atEnd, serve, serviceToken, startService, testCommon, until } from '@vahana-example/shared/testing';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { service as insurance } from '../src/service.js';

const CAR = { make: 'Tata', model: 'Nexon EV', year: 2024, price: 1450000, mileage_km: 12000, fuel: 'electric', city: 'Pune' };

/** The other two, as far as insurance knows them. The story test has the real ones. */
const cars = { away: false, known: new Map() };
const carsUrl = await serve((request, response) => {
  const car = cars.known.get(request.url.split('/').at(-1));
  if (cars.away) return response.writeHead(503).end();
  return response.writeHead(car ? 200 : 404, { 'Content-Type': 'application/json' }).end(JSON.stringify(car ?? {}));
});
const payment = { away: false, asked: [] };
const paymentUrl = await serve(async (request, response) => {
  const body = JSON.parse(Buffer.concat(await request.toArray()).toString());
  if (payment.away) return response.writeHead(503).end();
  payment.asked.push({ path: request.url, headers: request.headers, body });
  const first = payment.asked.find(({ headers }) => headers['idempotency-key'] === request.headers['idempotency-key']);
  first.id ??= randomUUID();
  return response.writeHead(201, { 'Content-Type': 'application/json' }).end(JSON.stringify({ id: first.id }));
});

const service = await startService(insurance, { CARS_URL: carsUrl, PAYMENT_URL: paymentUrl, PEER_DEADLINE_MS: '40000' });
const { call, database, sqs, issuer } = service;
atEnd(service.assertAllSeen);

const addCar = (more = {}) => {
  const id = randomUUID();
  cars.known.set(id, { id, ...CAR, ...more });
  return id;
};
const person = (roles = []) => {
  const id = randomUUID();
  return { id, token: issuer.token({ id, roles }) };
};
const wish = { cover: 'comprehensive', driver_age: 40, no_claims_years: 2 };
const ask = (who, more = {}) => call('POST', '/api/insurance/quotes', { token: who.token, body: { car_id: addCar(), ...wish, ...more } });
const accept = (who, quote) => call('POST', `/api/insurance/quotes/${quote.id}/acceptance`, { token: who.token });
const told = (type, about) => sqs.events('notification').filter((event) => event.type === type && Object.values(event.data).includes(about));
const get = async (who, path) => (await call('GET', `/api/insurance/${path}`, { token: who.token })).body;

/** What payment tells when it was paid. */
const paid = (who, quote, intent, more = {}) => ({
  id: randomUUID(),
  type: 'payment.succeeded',
  data: { intent_id: intent, user_id: who.id, reference: quote.id, amount: quote.premium, currency: 'INR', description: 'x', ...more },
});

async function insure(who) {
  const { body: quote } = await ask(who);
  const { body: due } = await accept(who, quote);
  sqs.put('insurance', paid(who, quote, due.intent_id));
  const policy = await until(async () => (await get(who, 'policies')).items.find((each) => each.quote_id === quote.id));
  return { ...policy, intent: due.intent_id };
}

testCommon(service);

test('a quote says what it costs, why and until when, and stays so', async () => {
  const asha = person();
  const carId = addCar();
  const { status, body: quote } = await ask(asha, { car_id: carId });
  assert.equal(status, 201);
  assert.equal(quote.premium, quote.steps.at(-1).premium);
  assert.ok(Date.parse(quote.valid_until) - Date.parse(quote.created_at) > 167 * 3600_000);
  cars.known.set(carId, { id: carId, ...CAR, price: 1 });
  assert.deepEqual(await get(asha, `quotes/${quote.id}`), quote);
  assert.equal((await call('GET', `/api/insurance/quotes/${quote.id}`, { token: person().token })).status, 404);
  assert.deepEqual([(await ask(asha, { car_id: randomUUID() })).body.code], ['no_such_car']);
  const wrong = await ask(asha, { driver_age: 12, cover: 'all' });
  assert.deepEqual(Object.keys(wrong.body.fields).sort(), ['cover', 'driver_age']);
});

test('accepting asks for one payment, however often', async () => {
  const asha = person();
  const { body: quote } = await ask(asha);
  const [one, other] = await Promise.all([accept(asha, quote), accept(asha, quote)]);
  assert.deepEqual(one.body, other.body);
  assert.deepEqual([one.body.amount, one.body.confirm_at], [quote.premium, `/api/payment/intents/${one.body.intent_id}/confirmation`]);
  const { path, headers, body } = payment.asked.at(-1);
  assert.deepEqual([path, headers['idempotency-key']], ['/internal/payment/intents', `quote-${quote.id}`]);
  assert.deepEqual(body, {
    user_id: asha.id,
    amount: quote.premium,
    reference: quote.id,
    description: 'Insurance of a Tata Nexon EV',
    expires_at: quote.valid_until,
  });
  assert.equal((await accept(person(), quote)).status, 404);
  await database.query('UPDATE quotes SET valid_until = now() WHERE id = $1', [quote.id]);
  assert.deepEqual([(await accept(asha, quote)).status, (await accept(asha, quote)).body.code], [410, 'quote_expired']);
});

test('a policy is made when the payment is confirmed, once', async () => {
  const asha = person();
  const { body: quote } = await ask(asha);
  const { body: due } = await accept(asha, quote);
  assert.deepEqual((await get(asha, 'policies')).items, []);
  const event = paid(asha, quote, due.intent_id);
  for (let copy = 0; copy < 3; copy += 1) sqs.put('insurance', event);
  const [policy] = await until(async () => {
    const { items } = await get(asha, 'policies');
    return items.length > 0 && items;
  });
  assert.deepEqual([policy.quote_id, policy.status, policy.premium, policy.car.model], [quote.id, 'active', quote.premium, 'Nexon EV']);
  await until(() => sqs.waiting('insurance') === 0);
  await until(() => told('policy.issued', policy.id).length === 1);
  assert.equal((await call('GET', `/api/insurance/policies/${policy.id}`, { token: person().token })).status, 404);
});

test('a payment that does not fit makes no policy', async () => {
  const asha = person();
  const { body: quote } = await ask(asha);
  const { body: due } = await accept(asha, quote);
  sqs.put('insurance', paid(asha, quote, due.intent_id, { amount: quote.premium - 1 }));
  sqs.put('insurance', paid(person(), quote, due.intent_id));
  sqs.put('insurance', { ...paid(asha, quote, due.intent_id), type: 'payment.failed' });
  await until(async () => (await database.query('SELECT FROM inbox')).length > 0 && sqs.waiting('insurance') === 2);
  assert.deepEqual((await get(asha, 'policies')).items, []);
});

test('who leaves early gets all back', async () => {
  const asha = person();
  const policy = await insure(asha);
  const cancel = () => call('POST', `/api/insurance/policies/${policy.id}/cancellation`, { token: asha.token });
  const { body } = await cancel();
  assert.deepEqual([body.status, body.refund, body.refund_status], ['cancelled', policy.premium, 'requested']);
  assert.equal((await cancel()).body.code, 'policy_cancelled');
  const request = await until(() => sqs.events('payment').find(({ data }) => data.intent_id === policy.intent));
  assert.deepEqual([request.type, request.data.amount], ['refund.requested', policy.premium]);
  sqs.put('insurance', { id: randomUUID(), type: 'payment.refunded', data: { intent_id: policy.intent } });
  await until(async () => (await get(asha, `policies/${policy.id}`)).refund_status === 'paid');
  assert.equal((await call('POST', `/api/insurance/policies/${randomUUID()}/cancellation`, { token: asha.token })).status, 404);
});

const CLAIM = { happened_on: new Date().toISOString().slice(0, 10), amount: 5000000, description: 'Hail' };
const claim = (who, policy, more = {}) => call('POST', `/api/insurance/policies/${policy.id}/claims`, { token: who.token, body: { ...CLAIM, ...more } });
const move = (who, made, to, note) =>
  call('POST', `/api/insurance/claims/${made.id}/transitions`, { token: who.token, body: { to, ...(note && { note }) } });

test('a claim goes where it may, moved by whom it may', async () => {
  const asha = person();
  const adjuster = person(['adjuster']);
  const policy = await insure(asha);
  const { status, body: made } = await claim(asha, policy);
  assert.deepEqual([status, made.status], [201, 'submitted']);
  assert.equal((await move(adjuster, made, 'approved')).body.code, 'claim_cannot_move');
  assert.equal((await move(asha, made, 'in_review')).status, 403);
  assert.equal((await move(adjuster, made, 'withdrawn')).status, 403);
  assert.equal((await move(person(), made, 'withdrawn')).status, 404);
  assert.equal((await call('GET', `/api/insurance/claims/${made.id}`, { token: person().token })).status, 404);
  assert.equal((await move(adjuster, made, 'in_review')).body.status, 'in_review');
  assert.deepEqual((await call('GET', '/api/insurance/claims?status=in_review', { token: adjuster.token })).body.items.map(({ id }) => id), [made.id]);
  const { body: approved } = await move(adjuster, made, 'approved', 'Two weeks.');
  assert.deepEqual([approved.status, approved.note], ['approved', 'Two weeks.']);
  for (const to of ['in_review', 'rejected']) assert.equal((await move(adjuster, made, to)).status, 409);
  assert.equal((await move(asha, made, 'withdrawn')).status, 409);
  assert.deepEqual(await get(asha, `claims/${made.id}`), approved);
  await until(() => told('claim.updated', made.id).length === 3);
  const moves = await database.query('SELECT status, by_user FROM claim_moves WHERE claim_id = $1 ORDER BY id', [made.id]);
  assert.deepEqual(moves.map(({ status: to, by_user: by }) => [to, by === asha.id]), [['submitted', true], ['in_review', false], ['approved', false]]);
  assert.equal((await call('POST', `/api/insurance/policies/${policy.id}/cancellation`, { token: asha.token })).body.code, 'policy_has_claims');
});

test('adjusters do not decide about their own', async () => {
  const adjuster = person(['adjuster']);
  const { body: made } = await claim(adjuster, await insure(adjuster));
  assert.equal((await move(adjuster, made, 'in_review')).status, 403);
  assert.equal((await move(adjuster, made, 'withdrawn')).body.status, 'withdrawn');
});

test('claims are for what happened while insured, up to the value', async () => {
  const asha = person();
  const policy = await insure(asha);
  const day = (offset) => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
  for (const happened of [day(-2), day(2), day(400), '2026-02-30']) {
    const { status, body } = await claim(asha, policy, { happened_on: happened });
    assert.deepEqual([status, Object.keys(body.fields)], [400, ['happened_on']]);
  }
  assert.deepEqual(Object.keys((await claim(asha, policy, { amount: policy.insured_value + 1 })).body.fields), ['amount']);
  assert.equal((await claim(person(), policy)).status, 404);
  await call('POST', `/api/insurance/policies/${policy.id}/cancellation`, { token: asha.token });
  assert.equal((await claim(asha, policy)).body.code, 'policy_cancelled');
});

test('without cars there are no new quotes, and without payment none is accepted; the rest goes on', async () => {
  const asha = person();
  const { body: quote } = await ask(asha);
  cars.away = true;
  const { status, body, headers } = await ask(asha);
  assert.deepEqual([status, body.code, headers.get('retry-after')], [503, 'cars_unavailable', '2']);
  assert.equal((await accept(asha, quote)).status, 200);
  cars.away = false;
  payment.away = true;
  assert.equal((await accept(asha, quote)).body.code, 'payment_unavailable');
  assert.equal((await get(asha, `quotes/${quote.id}`)).id, quote.id);
  payment.away = false;
  assert.equal((await accept(asha, quote)).status, 200);
  assert.equal((await ask(asha)).status, 201);
});

test('a token for services is none for people', async () => {
  assert.equal((await ask({ token: serviceToken('payment', 'insurance') })).status, 401);
});
