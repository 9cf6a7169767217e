import { CAR, startApp } from './helpers.js';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'node:test';
import pg from 'pg';
import { DatabaseUnavailableError } from '../src/database/errors.js';
import { Reads } from '../src/database/reads.js';
import { fromLsn, latest, toLsn } from '../src/position.js';

const url = process.env.DATABASE_URL?.startsWith('postgres') ? process.env.DATABASE_URL : undefined;
const readUrl = process.env.DATABASE_READ_URL;

test('positions compare as the log does', () => {
  const [before, after] = [fromLsn('9/FFFFFFFF'), fromLsn('A/10')];
  assert.equal(latest('', after, before), after);
  assert.equal(BigInt(`0x${toLsn(after).replace('/', '')}`), 0xa00000010n);
});

describe('reads', () => {
  const server = (name, { reached = true, error } = {}) => ({
    name,
    asked: 0,
    async hasReached() {
      this.asked += 1;
      if (error) throw error;
      return reached;
    },
  });
  const from = (reads, needed = '1') => reads.run(needed, async (database) => database.name);

  test('go to the replica that has what they need, and to the database otherwise', async () => {
    const database = server('database');
    assert.equal(await from(new Reads(database, server('replica'))), 'replica');
    assert.equal(await from(new Reads(database, server('replica', { reached: false }))), 'database');
    assert.equal(await from(new Reads(database, server('replica', { reached: false })), ''), 'replica');
    assert.equal(await from(new Reads(database, undefined)), 'database');
  });

  test('leave a lost replica alone for a while', async (t) => {
    t.mock.timers.enable({ apis: ['Date'] });
    const lost = server('replica', { error: new DatabaseUnavailableError(new Error('gone')) });
    const reads = new Reads(server('database'), lost, { retryMs: 10000 });
    for (let round = 0; round < 3; round += 1) assert.equal(await from(reads), 'database');
    assert.equal(lost.asked, 1);
    t.mock.timers.tick(10001);
    assert.equal(await from(reads), 'database');
    assert.equal(lost.asked, 2);
  });

  test('pass over what a replica refuses, and ask it again', async () => {
    const behind = server('replica', { error: Object.assign(new Error('no such table'), { code: '42P01' }) });
    const reads = new Reads(server('database'), behind);
    for (let round = 0; round < 2; round += 1) assert.equal(await from(reads), 'database');
    assert.equal(behind.asked, 2);
  });

  test('fail as the database does', async () => {
    const reads = new Reads(server('database'), undefined);
    await assert.rejects(reads.run('', async () => Promise.reject(new Error('x'))), { message: 'x' });
  });
});

test('a replica that is not there is noticed by nobody', { skip: url ? false : 'DATABASE_URL names no PostgreSQL' }, async (t) => {
  const { call } = await startApp(t, { url, readUrl: 'postgres://user:s3cret@127.0.0.1:9/none' });
  const { id } = (await call('POST', '/api/listings', CAR)).json;
  for (let round = 0; round < 3; round += 1) assert.equal((await call('GET', '/api/listings')).json.items[0].id, id);
  assert.equal((await call('DELETE', `/api/listings/${id}`)).status, 204);
});

describe('a real replica', { skip: url && readUrl ? false : 'DATABASE_READ_URL names no replica' }, () => {
  async function connect(t, where) {
    const client = new pg.Client({ connectionString: where });
    await client.connect();
    t.after(() => client.end());
    return client;
  }

  test('serves searches, and whoever has written sees it at once, though the replica is behind', async (t) => {
    const { call } = await startApp(t, { url, readUrl });
    const replica = await connect(t, readUrl);
    const find = async (model, cookie) => (await call('GET', `/api/listings?q=${model}`, undefined, cookie && { Cookie: cookie })).json.items.length;
    const answer = await call('POST', '/api/listings', { ...CAR, model: 'Seen' });
    const followed = async (total) => {
      while ((await find('Seen')) !== total) await sleep(50);
    };
    await followed(1);

    await replica.query('SELECT pg_wal_replay_pause()');
    const late = await call('POST', '/api/listings', { ...CAR, model: 'Late' });
    const cookie = late.headers.get('set-cookie').split(';')[0];
    assert.match(late.headers.get('set-cookie'), /^written=[0-9a-f]{16}; Path=\/api; Max-Age=\d+; HttpOnly; SameSite=Lax$/);
    assert.equal(await find('Late', cookie), 1, 'its own');
    assert.equal(await find('Late'), 0, 'the replica answers others');
    assert.equal(await find('Seen'), 1);
    assert.equal(await find('Late', 'written=ffff'), 0, 'what is no position is none');

    await replica.query('SELECT pg_wal_replay_resume()');
    while ((await find('Late')) === 0) await sleep(50);
    for (const { json } of [answer, late]) await call('DELETE', `/api/listings/${json.id}`);
    await followed(0);
  });
});
