import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import pg from 'pg';
import { CAR, freshPostgres, migrate, openDatabase, postgresUrl, startApp } from './helpers.js';

describe('postgres server', { skip: postgresUrl ? false : 'DATABASE_URL names no PostgreSQL' }, () => {
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
      assert.equal((await call('GET', '/api/listings')).json.items.length, 1);
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

describe('a database in trouble', () => {
  test('without its database the health is 503, and it lives', async (t) => {
    const { call, database } = await startApp(t, { url: 'sqlite::memory:' });
    t.mock.method(database, 'ping', async () => {
      throw new Error('gone');
    });
    const sick = await call('GET', '/api/health');
    assert.deepEqual([sick.status, sick.json.status], [503, 'unavailable']);
    const alive = await call('GET', '/api/health?live=true');
    assert.deepEqual([alive.status, alive.json], [200, sick.json]);
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
