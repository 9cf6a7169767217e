import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import pg from 'pg';
import { CAR, migrate, openDatabase, startApp, temporaryDirectory } from './helpers.js';

const postgresUrl = process.env.DATABASE_URL?.startsWith('postgres') ? process.env.DATABASE_URL : undefined;

/** A database of its own on the given server: the tests leave nothing in the one that the URL names. */
async function freshPostgres(t) {
  const name = `listings_test_${process.pid}_${Date.now()}`;
  const admin = new pg.Client({ connectionString: postgresUrl });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  t.after(async () => {
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end();
  });
  const url = new URL(postgresUrl);
  url.pathname = `/${name}`;
  return url.href;
}

const engines = [
  ['sqlite', {}, async (t) => `sqlite:${path.join(temporaryDirectory(t), 'db', 'listings.sqlite3')}`],
  ['postgres', { skip: postgresUrl ? false : 'DATABASE_URL names no PostgreSQL' }, freshPostgres],
];

for (const [engine, options, freshUrl] of engines) {
  describe(engine, options, () => {
    test('a listing is created, read, replaced and deleted', async (t) => {
      const { call, database } = await startApp(t, { url: await freshUrl(t) });
      assert.equal(database.engine, engine);

      const created = await call('POST', '/api/listings', CAR);
      assert.equal(created.status, 201);
      const { id, created_at: createdAt, updated_at: updatedAt, ...fields } = created.json;
      assert.deepEqual(fields, CAR);
      assert.equal(created.headers.get('location'), `/api/listings/${id}`);
      assert.equal(createdAt, updatedAt);
      assert.equal(new Date(createdAt).toISOString(), createdAt);

      assert.deepEqual((await call('GET', `/api/listings/${id}`)).json, created.json);

      const replaced = await call('PUT', `/api/listings/${id}`, { ...CAR, price: 1300000 });
      assert.equal(replaced.status, 200);
      assert.equal(replaced.json.price, 1300000);
      assert.equal(replaced.json.created_at, createdAt);

      assert.equal((await call('DELETE', `/api/listings/${id}`)).status, 204);
      for (const [method, body] of [['GET'], ['PUT', CAR], ['DELETE']]) {
        assert.equal((await call(method, `/api/listings/${id}`, body)).status, 404, method);
      }
      assert.equal((await call('GET', '/api/listings/not-an-id')).status, 404);
    });

    test('search finds words in any order, whatever their case, and takes wildcards literally', async (t) => {
      const { call } = await startApp(t, { url: await freshUrl(t) });
      for (const car of [
        CAR,
        { ...CAR, make: 'Škoda', model: 'Kylaq', price: 900000, fuel: 'petrol', description: '100% financed' },
        { ...CAR, make: 'Maruti Suzuki', model: 'Swift', price: 600000, fuel: 'cng', city: 'Delhi', description: '' },
      ]) {
        assert.equal((await call('POST', '/api/listings', car)).status, 201);
      }
      const models = async (query) => (await call('GET', `/api/listings?${new URLSearchParams(query)}`)).json.items.map((item) => item.model);

      assert.deepEqual(await models({}), ['Swift', 'Kylaq', 'Nexon EV']);
      assert.deepEqual(await models({ q: 'ev TATA' }), ['Nexon EV']);
      assert.deepEqual(await models({ q: 'ŠKODA' }), ['Kylaq']);
      assert.deepEqual(await models({ q: '100%' }), ['Kylaq']);
      assert.deepEqual(await models({ q: '%' }), ['Kylaq']);
      assert.deepEqual(await models({ q: "'; DROP TABLE listings; --" }), []);
      assert.deepEqual(await models({ make: 'škoda' }), ['Kylaq']);
      assert.deepEqual(await models({ min_price: '600000', max_price: '900000', sort: 'price_asc' }), ['Swift', 'Kylaq']);
      assert.deepEqual(await models({ sort: 'price_desc' }), ['Nexon EV', 'Kylaq', 'Swift']);
    });

    test('pages cover every listing once', async (t) => {
      const { call } = await startApp(t, { url: await freshUrl(t) });
      await Promise.all(Array.from({ length: 45 }, (_, index) => call('POST', '/api/listings', { ...CAR, model: `Model ${index}` })));
      const pages = await Promise.all([1, 2, 3, 4].map(async (page) => (await call('GET', `/api/listings?page=${page}`)).json));
      assert.deepEqual(pages.map((page) => page.items.length), [20, 20, 5, 0]);
      assert.equal(pages[0].total, 45);
      assert.equal(pages[0].pages, 3);
      assert.equal(new Set(pages.flatMap((page) => page.items.map((item) => item.id))).size, 45);
    });
  });
}

describe('postgres server', { skip: engines[1][1].skip }, () => {
  test('connections that the server ends are replaced', async (t) => {
    const { call, database } = await startApp(t, { url: await freshPostgres(t) });
    assert.equal((await call('POST', '/api/listings', CAR)).status, 201);
    const admin = new pg.Client({ connectionString: postgresUrl });
    await admin.connect();
    t.after(() => admin.end());
    const { rows } = await database.query('SELECT current_database() AS name');
    for (let round = 0; round < 3; round += 1) {
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [rows[0].name]);
      // The first answer may still come from a connection whose end has not arrived; none may be a crash or an error of ours.
      assert.ok([200, 503].includes((await call('GET', '/api/listings')).status));
      assert.equal((await call('GET', '/api/health')).status, 200);
      assert.equal((await call('GET', '/api/listings')).json.total, 1);
    }
  });

  test('runners that migrate at once do it once', async (t) => {
    const url = await freshPostgres(t);
    const databases = await Promise.all([1, 2, 3].map(() => openDatabase(url)));
    const applied = await Promise.all(databases.map((database) => migrate(database)));
    await Promise.all(databases.map((database) => database.close()));
    assert.deepEqual(applied.flat(), ['0001_listings.sql', '0002_listing_events.sql']);
  });
});

describe('bad input', () => {
  const bodies = [
    [{ ...CAR, price: '1450000' }, { price: 'must be a whole number' }],
    [{ ...CAR, price: -1 }, { price: 'must be from 0 to 1000000000' }],
    [{ ...CAR, make: '   ' }, { make: 'is required' }],
    [{ ...CAR, model: 'x'.repeat(81) }, { model: 'must have at most 80 characters' }],
    [{ ...CAR, fuel: 'coal' }, { fuel: 'must be one of petrol, diesel, electric, hybrid, cng' }],
    [{ ...CAR, year: 1885 }, { year: `must be from 1886 to ${new Date().getUTCFullYear() + 1}` }],
    [{ ...CAR, city: 'Pu\0ne' }, { city: 'has characters that are not text' }],
    [{ ...CAR, colour: 'red' }, { colour: 'is not a field of a listing' }],
    [[CAR], { body: 'must be a JSON object' }],
    [null, { body: 'must be a JSON object' }],
  ];
  test('says what is wrong with each field', async (t) => {
    const { call } = await startApp(t, { url: 'sqlite::memory:' });
    for (const [body, fields] of bodies) {
      const answer = await call('POST', '/api/listings', body);
      assert.equal(answer.status, 400);
      assert.deepEqual(answer.json.error.fields, fields);
    }
    const empty = await call('POST', '/api/listings', {});
    assert.equal(Object.keys(empty.json.error.fields).length, 8);
    assert.equal((await call('GET', '/api/listings')).json.total, 0);
  });

  test('refuses what is no JSON, too large, a wrong method or a wrong filter', async (t) => {
    const { call } = await startApp(t, { url: 'sqlite::memory:' });
    assert.equal((await call('POST', '/api/listings', '{"make":')).json.error.code, 'invalid_json');
    assert.equal((await call('POST', '/api/listings', 'make=Tata', { 'Content-Type': 'text/plain' })).status, 415);
    assert.equal((await call('POST', '/api/listings', JSON.stringify({ ...CAR, description: 'x'.repeat(70000) }))).status, 413);
    const patched = await call('PATCH', '/api/listings', {});
    assert.equal(patched.status, 405);
    assert.equal(patched.headers.get('allow'), 'GET, POST');
    assert.equal((await call('GET', '/api/nothing')).status, 404);
    const filter = await call('GET', '/api/listings?page=0&min_price=9&max_price=1&sort=colour');
    assert.deepEqual(Object.keys(filter.json.error.fields).sort(), ['min_price', 'page', 'sort']);
    assert.equal((await call('GET', '/api/listings?max_price=1e9')).status, 400);
  });
});

describe('operations', () => {
  test('health and version', async (t) => {
    const { call, database } = await startApp(t, { url: 'sqlite::memory:' });
    const health = await call('GET', '/api/health');
    assert.deepEqual([health.status, health.json], [200, { status: 'ok', version: '1.2.3-test' }]);
    assert.equal((await call('GET', '/api/version')).json.version, '1.2.3-test');
    assert.equal((await call('GET', '/api/version', undefined, { 'X-Request-Id': 'abc-123' })).headers.get('x-request-id'), 'abc-123');
    assert.match((await call('GET', '/api/version', undefined, { 'X-Request-Id': 'a b' })).headers.get('x-request-id'), /^[0-9a-f-]{36}$/);
    t.mock.method(database, 'ping', async () => {
      throw new Error('gone');
    });
    const sick = await call('GET', '/api/health');
    assert.deepEqual([sick.status, sick.json.status], [503, 'unavailable']);
  });

  test('the health is answered in time though the database says nothing', async (t) => {
    const { call, database } = await startApp(t, { url: 'sqlite::memory:' });
    t.mock.method(database, 'ping', () => new Promise(() => {}));
    const asked = Date.now();
    const answer = await call('GET', '/api/health');
    assert.deepEqual([answer.status, answer.json.database], [503, 'unreachable']);
    // A load balancer waits for 3 s.
    assert.ok(Date.now() - asked < 2900);
  });

  test('a PostgreSQL that is not there is 503, not a crash or a hang', async (t) => {
    // Port 9 (discard) of loopback: nothing listens there.
    const database = await openDatabase('postgres://user:s3cret@127.0.0.1:9/none');
    t.after(() => database.close());
    await assert.rejects(database.ping(), { name: 'DatabaseUnavailableError', code: 'ECONNREFUSED' });
  });
});
