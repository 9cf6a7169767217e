import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

export const CAR = {
  make: 'Tata',
  model: 'Nexon EV',
  year: 2024,
  price: 1450000,
  mileage_km: 12000,
  fuel: 'electric',
  transmission: 'automatic',
  city: 'Pune',
  description: 'One owner, full service history',
};

/** Sends requests to an address, and reads JSON where that is what comes. */
export function caller(base) {
  return async function call(method, pathname, body, headers = {}) {
    const response = await fetch(base + pathname, {
      method,
      headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = text !== '' && response.headers.get('content-type')?.startsWith('application/json');
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
  };
}

/** Everything a search finds, page by page. */
export async function searchAll(call, query = {}) {
  const items = [];
  let next = '';
  do {
    const { json } = await call('GET', `/api/listings?${new URLSearchParams({ ...query, cursor: next })}`);
    items.push(...json.items);
    next = json.next;
  } while (next !== null);
  return items;
}

/**
 * What docs/example-api.md promises, of whatever answers at an address. Each test has a make of its own, so others' listings, also those of
 * a deployed environment, are in nobody's way.
 *
 * @param {string} name of what is tested
 * @param {object} options of describe()
 * @param {(t: {after: Function}) => Promise<string>} start resolves with the address; what it gives to t.after is done in the end
 */
export function keepsTheContract(name, options, start) {
  describe(`the contract, ${name}`, options, () => {
    let call;
    let car;
    const endings = [];
    before(async () => {
      call = caller(await start({ after: (ending) => endings.unshift(ending) }));
    });
    after(async () => {
      for (const ending of endings) await ending();
    });
    const makes = (make) => ({ ...CAR, make: `${make} ${randomUUID().slice(0, 8)}` });
    const models = async (query) => (await searchAll(call, { make: car.make, ...query })).map((item) => item.model);

    test('a listing is created, read, replaced and deleted', async () => {
      car = makes('Tata');
      const created = await call('POST', '/api/listings', car);
      assert.equal(created.status, 201);
      const { id, created_at: createdAt, updated_at: updatedAt, ...fields } = created.json;
      assert.deepEqual(fields, car);
      assert.equal(created.headers.get('location'), `/api/listings/${id}`);
      assert.equal(createdAt, updatedAt);
      assert.equal(new Date(createdAt).toISOString(), createdAt);
      assert.deepEqual((await call('GET', `/api/listings/${id}`)).json, created.json);

      await sleep(2);
      const replaced = await call('PUT', `/api/listings/${id}`, { ...car, price: 1300000 });
      assert.equal(replaced.status, 200);
      const { updated_at: replacedAt, ...rest } = replaced.json;
      assert.deepEqual(rest, { id, ...car, price: 1300000, created_at: createdAt });
      assert.ok(replacedAt > updatedAt);
      assert.deepEqual((await call('GET', `/api/listings/${id}`)).json, replaced.json);

      assert.equal((await call('DELETE', `/api/listings/${id}`)).status, 204);
      for (const [method, body] of [['GET'], ['PUT', car], ['DELETE']]) {
        assert.equal((await call(method, `/api/listings/${id}`, body)).status, 404, method);
        assert.equal((await call(method, '/api/listings/not-an-id', body)).status, 404, method);
      }
      assert.deepEqual(await models({}), []);
    });

    test('a creation that is sent again creates nothing', async () => {
      car = makes('Kia');
      const key = { 'Idempotency-Key': randomUUID() };
      const sent = await Promise.all([1, 2, 3].map(() => call('POST', '/api/listings', car, key)));
      const first = sent[0].json;
      for (const answer of [...sent, await call('POST', '/api/listings', car, key)]) {
        assert.deepEqual([answer.status, answer.json], [201, first]);
        assert.equal(answer.headers.get('location'), `/api/listings/${first.id}`);
      }
      assert.equal((await models({})).length, 1);
      const other = await call('POST', '/api/listings', { ...car, price: 1 }, key);
      assert.deepEqual([other.status, other.json.error.code], [409, 'conflict']);
      const odd = await call('POST', '/api/listings', car, { 'Idempotency-Key': 'x'.repeat(201) });
      assert.deepEqual([odd.status, odd.json.error.code], [400, 'invalid_idempotency_key']);
      assert.notEqual((await call('POST', '/api/listings', car)).json.id, first.id);
    });

    test('search finds words in any order, whatever their case, and takes wildcards literally', async () => {
      car = makes('Škoda');
      for (const each of [
        car,
        { ...car, model: 'Kylaq', price: 900000, fuel: 'petrol', description: '100% financed' },
        { ...car, model: 'Swift', price: 600000, fuel: 'cng', city: 'Delhi', description: '' },
      ]) {
        assert.equal((await call('POST', '/api/listings', each)).status, 201);
        // "Newest" goes by milliseconds.
        await sleep(2);
      }
      assert.deepEqual(await models({}), ['Swift', 'Kylaq', 'Nexon EV']);
      assert.deepEqual(await models({ make: car.make.toUpperCase() }), ['Swift', 'Kylaq', 'Nexon EV']);
      assert.deepEqual(await models({ make: '', q: `ev ${car.make.toUpperCase()}` }), ['Nexon EV']);
      assert.deepEqual(await models({ q: 'ŠKODA delhi' }), ['Swift']);
      assert.deepEqual(await models({ q: '100%' }), ['Kylaq']);
      assert.deepEqual(await models({ q: '%' }), ['Kylaq']);
      assert.deepEqual(await models({ q: "'; DROP TABLE listings; --" }), []);
      assert.deepEqual(await models({ make: 'Škod' }), []);
      assert.deepEqual(await models({ min_price: '600000', max_price: '900000' }), ['Swift', 'Kylaq']);
      assert.deepEqual(await models({ min_price: '600000', max_price: '900000', sort: 'price_asc' }), ['Swift', 'Kylaq']);
      assert.deepEqual(await models({ min_price: '600001', sort: 'price_desc', q: '' }), ['Nexon EV', 'Kylaq']);
      assert.deepEqual(await models({ max_price: '600000', sort: 'price_desc' }), ['Swift']);
      const everywhere = await searchAll(call, { q: car.make, sort: 'price_desc', min_price: '600001' });
      assert.deepEqual(everywhere.map((item) => item.model), ['Nexon EV', 'Kylaq']);
    });

    test('a search shows what was replaced', async () => {
      car = makes('Hyundai');
      const { id } = (await call('POST', '/api/listings', car)).json;
      const moved = { ...car, make: `${car.make} II`, price: 5 };
      await call('PUT', `/api/listings/${id}`, moved);
      assert.deepEqual(await models({}), []);
      car = moved;
      assert.deepEqual(await models({ max_price: '5', sort: 'price_asc' }), [car.model]);
      assert.deepEqual(await models({ q: 'ii' }), [car.model]);
    });

    for (const sort of ['newest', 'price_asc', 'price_desc']) {
      test(`pages (${sort}) hold every listing once, in order, also when others come meanwhile`, async () => {
        car = makes('Mahindra');
        // Several of the same price and of the same moment.
        const add = (index) => call('POST', '/api/listings', { ...car, model: `M${index}`, price: 100 + (index % 4) });
        for (let first = 0; first < 45; first += 9) {
          const answers = await Promise.all(Array.from({ length: 9 }, (_, index) => add(first + index)));
          assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
        }
        const page = async (cursor) => {
          const answer = await call('GET', `/api/listings?${new URLSearchParams({ make: car.make, sort, cursor })}`);
          assert.equal(answer.status, 200);
          return answer.json;
        };
        const first = await page('');
        // Before the first page in every order.
        const price = sort === 'price_asc' ? 1 : 1000;
        assert.equal((await call('POST', '/api/listings', { ...car, model: 'Late', price })).status, 201);
        const second = await page(first.next);
        const third = await page(second.next);
        assert.deepEqual([first, second, third].map(({ items }) => items.length), [20, 20, 5]);
        assert.equal(third.next, null);
        const items = [first, second, third].flatMap((each) => each.items);
        assert.equal(new Set(items.map(({ id }) => id)).size, 45);
        const [key, sign] = sort === 'newest' ? ['created_at', -1] : ['price', sort === 'price_asc' ? 1 : -1];
        const keys = items.map((item) => item[key]);
        assert.deepEqual(keys, keys.toSorted((one, other) => sign * (one < other ? -1 : one > other ? 1 : 0)));
      });
    }

    test('what is wrong with a listing is told by field', async () => {
      car = makes('Ford');
      for (const [body, fields] of [
        [{ ...car, price: '1450000' }, { price: 'must be a whole number' }],
        [{ ...car, price: -1 }, { price: 'must be from 0 to 1000000000' }],
        [{ ...car, make: '   ' }, { make: 'is required' }],
        [{ ...car, model: 'x'.repeat(81) }, { model: 'must have at most 80 characters' }],
        [{ ...car, fuel: 'coal' }, { fuel: 'must be one of petrol, diesel, electric, hybrid, cng' }],
        [{ ...car, year: 1885 }, { year: `must be from 1886 to ${new Date().getUTCFullYear() + 1}` }],
        [{ ...car, city: 'Pu\0ne' }, { city: 'has characters that are not text' }],
        [{ ...car, colour: 'red' }, { colour: 'is not a field of a listing' }],
        [[car], { body: 'must be a JSON object' }],
        ['null', { body: 'must be a JSON object' }],
      ]) {
        const answer = await call('POST', '/api/listings', body);
        assert.equal(answer.status, 400);
        assert.equal(answer.json.error.code, 'invalid');
        assert.deepEqual(answer.json.error.fields, fields);
      }
      assert.equal(Object.keys((await call('POST', '/api/listings', {})).json.error.fields).length, 8);
      const { id } = (await call('POST', '/api/listings', car)).json;
      assert.deepEqual((await call('PUT', `/api/listings/${id}`, { ...car, year: 1 })).json.error.fields, {
        year: `must be from 1886 to ${new Date().getUTCFullYear() + 1}`,
      });
      assert.equal((await models({})).length, 1);
    });

    test('what is no JSON, too large, a wrong method, address or filter is refused', async () => {
      assert.equal((await call('POST', '/api/listings', '{"make":')).json.error.code, 'invalid_json');
      assert.equal((await call('POST', '/api/listings', 'make=Tata', { 'Content-Type': 'text/plain' })).status, 415);
      const large = await call('POST', '/api/listings', { ...CAR, description: 'x'.repeat(70000) });
      assert.deepEqual([large.status, large.json.error.code], [413, 'too_large']);
      const patched = await call('PATCH', '/api/listings', {});
      assert.deepEqual([patched.status, patched.headers.get('allow')], [405, 'GET, POST']);
      for (const path of ['/api', '/api/nothing', '/api/listings/a/b']) {
        assert.equal((await call('GET', path)).json.error.code, 'not_found', path);
      }
      const filter = await call('GET', '/api/listings?min_price=9&max_price=1&sort=colour');
      assert.deepEqual(Object.keys(filter.json.error.fields).sort(), ['min_price', 'sort']);
      assert.equal((await call('GET', '/api/listings?max_price=1e9')).status, 400);
      const cursor = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
      for (const each of ['x', cursor(['price_asc', 1, randomUUID()]), cursor(['newest', 1, randomUUID()]), cursor(['newest', '2026-01-01T00:00:00.000Z', 'x'])]) {
        const answer = await call('GET', `/api/listings?cursor=${each}`);
        assert.deepEqual(Object.keys(answer.json.error?.fields ?? {}), ['cursor'], each);
      }
    });

    test('health, version, HEAD and the id of a request', async () => {
      const health = await call('GET', '/api/health');
      const { version } = health.json;
      assert.deepEqual([health.status, health.json], [200, { status: 'ok', version }]);
      assert.equal(health.headers.get('cache-control'), 'no-store');
      assert.equal((await call('GET', '/api/version')).json.version, version);
      const head = await call('HEAD', '/api/health');
      assert.deepEqual([head.status, head.text], [200, '']);
      const ask = (id) => call('GET', '/api/nothing', undefined, { 'X-Request-Id': id });
      const answer = await ask('abc-123');
      assert.deepEqual([answer.headers.get('x-request-id'), answer.json.request_id], ['abc-123', 'abc-123']);
      assert.match((await ask('a b')).headers.get('x-request-id'), /^[\w.:=;-]{1,200}$/);
    });
  });
}
