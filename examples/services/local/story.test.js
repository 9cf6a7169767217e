import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet, NAMES } from './fleet.js';

// A deadline of a minute for what takes a second: the machine may be busy.
const PATIENCE_MS = 120_000;
const PASSWORD = 'correct horse battery';
const QUEUES_GIVEN = process.env.AWS_ENDPOINT_URL;
let fleet;

before(async () => {
  fleet = await Fleet.start({ env: { PASSWORD_COST: '10', PEER_DEADLINE_MS: '40000' } });
});
after(() => fleet?.stop());

async function until(condition) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    assert.ok(Date.now() < deadline, `it did not come: ${condition}`);
    await sleep(50);
  }
}

async function call(method, path, { token, body, headers } = {}) {
  const response = await fetch(fleet.url + path, {
    method,
    headers: { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { 'Content-Type': 'application/json' }), ...headers },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  const json = response.headers.get('content-type')?.includes('json');
  return { status: response.status, body: json ? JSON.parse(text) : undefined, headers: response.headers };
}

/** The answer, if it is a good one. */
async function good(...request) {
  const answer = await call(...request);
  assert.ok(answer.status < 400, `${request[0]} ${request[1]}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

const CAR = { make: 'Tata', model: 'Nexon EV', year: 2024, price: 1450000, mileage_km: 12000, fuel: 'electric', transmission: 'automatic', city: 'Pune' };
const WISH = { cover: 'comprehensive', driver_age: 40, no_claims_years: 2 };

/** Somebody with an account, as the front door sees them. */
class Person {
  static async signUp() {
    const person = new Person();
    person.email = `${randomUUID()}@example.com`;
    person.user = await good('POST', '/api/auth/users', { body: { email: person.email, password: PASSWORD, name: 'Asha', phone: '+919876543210' } });
    person.token = (await good('POST', '/api/auth/tokens', { body: { email: person.email, password: PASSWORD } })).access_token;
    return person;
  }

  logIn = () => call('POST', '/api/auth/tokens', { body: { email: this.email, password: PASSWORD } });
  list = () => call('POST', '/api/cars', { token: this.token, body: CAR });
  search = () => call('GET', '/api/cars?q=nexon');
  quote = (car, headers) => call('POST', '/api/insurance/quotes', { token: this.token, body: { car_id: car.id, ...WISH }, headers });
  accept = (quote) => call('POST', `/api/insurance/quotes/${quote.id}/acceptance`, { token: this.token });
  pay = (due, method = 'pm_succeeds') =>
    call('POST', due.confirm_at, { token: this.token, body: { payment_method: method }, headers: { 'Idempotency-Key': `pay-${due.intent_id}` } });
  policies = () => call('GET', '/api/insurance/policies', { token: this.token });
  notifications = () => call('GET', '/api/notification/notifications', { token: this.token });

  async policyOf(quote) {
    return until(async () => (await good('GET', '/api/insurance/policies', { token: this.token })).items.find((each) => each.quote_id === quote.id));
  }

  /** Waits until they were told of an event, and how often. */
  async told(event, times = 1) {
    return until(async () => {
      const { items } = await good('GET', '/api/notification/notifications', { token: this.token });
      const sent = items.filter((each) => each.event === event && each.channel === 'email' && each.status === 'sent');
      assert.ok(sent.length <= times, `${event} was told ${sent.length} times`);
      return sent.length === times && sent;
    });
  }
}

test('sign up, list a car, quote, pay, be notified; and leave again', async () => {
  const asha = await Person.signUp();
  const car = (await asha.list()).body;
  assert.equal(car.owner_id, asha.user.id);
  assert.deepEqual((await asha.search()).body.items.map(({ id }) => id), [car.id]);

  const { body: quote, headers } = await asha.quote(car);
  const { body: due } = await asha.accept(quote);
  const paid = await asha.pay(due);
  assert.deepEqual([paid.status, paid.body.amount], [200, quote.premium]);
  const policy = await asha.policyOf(quote);
  for (const event of ['user.signed_up', 'car.listed', 'payment.succeeded', 'policy.issued']) await asha.told(event);
  const { body } = await asha.notifications();
  assert.deepEqual(body.items.filter(({ channel }) => channel === 'sms').map(({ event }) => event).sort(), ['payment.succeeded', 'policy.issued']);

  const cancelled = await good('POST', `/api/insurance/policies/${policy.id}/cancellation`, { token: asha.token });
  assert.equal(cancelled.refund, quote.premium);
  await asha.told('payment.refunded');
  await until(async () => (await good('GET', `/api/insurance/policies/${policy.id}`, { token: asha.token })).refund_status === 'paid');
  assert.equal((await good('GET', `/api/payment/intents/${due.intent_id}`, { token: asha.token })).refunded, quote.premium);

  // One request is one in the logs of all that it went through.
  const id = headers.get('x-request-id');
  for (const name of ['insurance', 'cars']) assert.ok(fleet.logs[name].some((entry) => entry.request_id === id), name);
});

test('a payment of which the provider says later what became is a policy then', async () => {
  const asha = await Person.signUp();
  const { body: quote } = await asha.quote((await asha.list()).body);
  const { body: due } = await asha.accept(quote);
  assert.equal((await asha.pay(due, 'pm_times_out')).status, 202);
  await asha.policyOf(quote);
  await asha.told('payment.succeeded');
});

test('what was acknowledged is not lost with the process that did it', async () => {
  const asha = await Person.signUp();
  const { body: quote } = await asha.quote((await asha.list()).body);
  const { body: due } = await asha.accept(quote);
  for (const [name, act] of Object.entries({ cars: () => asha.list(), payment: () => asha.pay(due) })) {
    assert.ok((await act()).status < 300);
    await fleet.end(name, 'SIGKILL');
    await fleet.start(name);
  }
  await asha.policyOf(quote);
  await asha.told('car.listed', 2);
  await asha.told('payment.succeeded');
});

test('the front door leads to nothing but what is for people', async () => {
  for (const path of ['/internal/payment/intents', '/', '/api', '/api/payment/../../internal/payment/intents', '/api/other/health']) {
    assert.equal((await call('POST', path, { body: {} })).status, 404, path);
  }
  for (const name of NAMES) assert.equal((await call('GET', `/api/${name}/health`)).body.status, 'ok');
});

/** What each thing that people do needs: first the service that they ask, then those that it asks. */
const NEEDS = {
  logIn: ['auth'],
  list: ['cars'],
  search: ['cars'],
  quote: ['insurance', 'cars'],
  accept: ['insurance', 'payment'],
  pay: ['payment'],
  policies: ['insurance'],
  notifications: ['notification'],
};

for (const lost of NAMES) {
  test(`without ${lost} only what needs it fails, and all works again when it is back`, async () => {
    const asha = await Person.signUp();
    const car = (await asha.list()).body;
    const [open, paying] = [(await asha.quote(car)).body, (await asha.quote(car)).body];
    const due = (await asha.accept(paying)).body;
    await asha.told('car.listed');
    // Whoever is asked first after this knows the keys of auth already, as in any service that has served somebody.
    await Promise.all([asha.policies(), asha.notifications(), call('GET', '/api/payment/intents', { token: asha.token })]);
    const things = {
      logIn: () => asha.logIn(),
      list: () => asha.list(),
      search: () => asha.search(),
      quote: () => asha.quote(car),
      accept: () => asha.accept(open),
      pay: () => asha.pay(due),
      policies: () => asha.policies(),
      notifications: () => asha.notifications(),
    };

    assert.equal(await fleet.end(lost, 'SIGKILL'), null);
    for (const [thing, [asked, ...others]] of Object.entries(NEEDS)) {
      const { status, body, headers } = await things[thing]();
      if (asked === lost) assert.equal(status, 502, thing);
      else if (others.includes(lost)) {
        assert.deepEqual([status, body.code, headers.get('retry-after')], [503, `${lost}_unavailable`, '2'], thing);
        assert.equal(headers.get('content-type'), 'application/problem+json');
      } else assert.ok(status < 300, `${thing}: ${status} ${JSON.stringify(body)}`);
    }
    for (const name of NAMES) assert.equal((await call('GET', `/api/${name}/health`)).status, name === lost ? 502 : 200, name);

    await fleet.start(lost);
    for (const [thing, attempt] of Object.entries(things)) {
      // The first that asks after the rest may still be the one who finds out.
      await until(async () => (await attempt()).status < 300 && thing);
    }
    // What was done meanwhile has arrived, once, whoever was away.
    await asha.policyOf(paying);
    await asha.told('car.listed', lost === 'cars' ? 2 : 3);
    await asha.told('payment.succeeded');
    await asha.told('policy.issued');
  });
}

test('each ends in order when it is told to, and has logged no secret', async () => {
  const codes = await fleet.stop();
  assert.deepEqual(codes, Object.fromEntries(NAMES.map((name) => [name, 0])));
  const logs = JSON.stringify(fleet.logs);
  for (const [name, secret] of Object.entries({ ...fleet.secrets, password: PASSWORD, email: '@example.com', phone: '+919876543210' })) {
    assert.ok(!logs.includes(secret), `${name} is in a log`);
  }
  for (const name of NAMES) assert.equal(fleet.logs[name].at(-1).message, 'stopped');
});

test('one that has died by itself does not keep the others from being ended', async () => {
  // Those of the first fleet are gone with it.
  if (!QUEUES_GIVEN) delete process.env.AWS_ENDPOINT_URL;
  fleet = await Fleet.start({ env: { PASSWORD_COST: '10' } });
  const pid = fleet.pid('notification');
  process.kill(pid, 'SIGKILL');
  await until(() => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  });
  const { notification, ...others } = await fleet.stop();
  assert.equal(notification, null);
  assert.deepEqual(Object.values(others), [0, 0, 0, 0]);
});
