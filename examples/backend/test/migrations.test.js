import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { openDatabase } from '../src/database/index.js';
import { migrate } from '../src/migrations.js';
import { temporaryDirectory } from './helpers.js';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../src/migrate.js', import.meta.url));

async function fixture(t, files) {
  const directory = temporaryDirectory(t);
  for (const [name, sql] of Object.entries(files)) writeFileSync(path.join(directory, name), sql);
  const database = await openDatabase('sqlite::memory:');
  t.after(() => database.close());
  return { database, directory, url: pathToFileURL(`${directory}/`) };
}

test('each migration is applied once, in order', async (t) => {
  const { database, directory, url } = await fixture(t, {
    '0002_add_colour.sql': "ALTER TABLE cars ADD COLUMN colour TEXT NOT NULL DEFAULT ''",
    '0001_cars.sql': 'CREATE TABLE cars (id INTEGER PRIMARY KEY)',
  });
  assert.deepEqual(await migrate(database, url), ['0001_cars.sql', '0002_add_colour.sql']);
  assert.deepEqual(await migrate(database, url), []);
  writeFileSync(path.join(directory, '0003_more.sql'), 'CREATE TABLE more (id INTEGER)');
  assert.deepEqual(await migrate(database, url), ['0003_more.sql']);
});

test('a failing migration leaves nothing behind and names itself', async (t) => {
  const { database, directory, url } = await fixture(t, {
    '0001_cars.sql': 'CREATE TABLE cars (id INTEGER PRIMARY KEY)',
    '0002_broken.sql': 'CREATE TABLE half (id INTEGER); INSERT INTO nowhere VALUES (1);',
  });
  await assert.rejects(migrate(database, url), /^Error: 0002_broken\.sql: .*nowhere/);
  const { rows } = await database.query("SELECT name FROM sqlite_master WHERE type = 'table'");
  assert.deepEqual(rows, []);
  writeFileSync(path.join(directory, '0002_broken.sql'), 'CREATE TABLE whole (id INTEGER)');
  assert.deepEqual(await migrate(database, url), ['0001_cars.sql', '0002_broken.sql']);
});

test('an applied migration may not change, a name must be in order', async (t) => {
  const { database, directory, url } = await fixture(t, { '0001_cars.sql': 'CREATE TABLE cars (id INTEGER)' });
  await migrate(database, url);
  writeFileSync(path.join(directory, '0001_cars.sql'), 'CREATE TABLE cars (id TEXT)');
  await assert.rejects(migrate(database, url), /0001_cars\.sql was changed after/);
  writeFileSync(path.join(directory, 'zebra.sql'), '');
  await assert.rejects(migrate(database, url), /rename zebra\.sql/);
});

test('processes that migrate at once do it once, and write no warning', async (t) => {
  const env = { ...process.env, LOG_LEVEL: 'info', DATABASE_URL: `sqlite:${path.join(temporaryDirectory(t), 'shared.sqlite3')}` };
  const results = await Promise.all([1, 2, 3].map(() => run(process.execPath, [script], { env })));
  const lines = results.map(({ stdout }) => JSON.parse(stdout));
  assert.deepEqual(lines.flatMap((line) => line.applied), ['0001_listings.sql', '0002_listing_events.sql']);
  assert.deepEqual(results.map(({ stderr }) => stderr), ['', '', '']);
});

test('a wrong DATABASE_URL fails with a reason and without the password', async () => {
  for (const [url, reason] of [
    ['mysql://user:s3cret@db/name', /must begin with sqlite: or postgres:/],
    ['postgres://user:s3cret@127.0.0.1:9/name', /ECONNREFUSED|cannot be reached/],
    ['sqlite:', /has no path/],
  ]) {
    const error = await run(process.execPath, [script], { env: { ...process.env, DATABASE_URL: url } }).catch((caught) => caught);
    assert.equal(error.code, 1);
    assert.match(error.stdout, reason);
    assert.ok(!`${error.stdout}${error.stderr}`.includes('s3cret'));
  }
});
