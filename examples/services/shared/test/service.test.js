import { atEnd, emptyDatabase, linkTo, setReadOnly, startIssuer, until } from '@vahana-example/shared/testing';
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Database, migrateService, Settings } from '../src/index.js';
import { migrate } from '../src/migrations.js';
import { start, usersOf } from '../src/service.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'vahana-service-'));
atEnd(() => rmSync(folder, { recursive: true }));
const directory = pathToFileURL(`${folder}/`);

test('a setting that is wrong is named, a secret never shown', () => {
  const settings = new Settings({ PORT: 'x', URL: 'ftp://x', SECRET: 'short', LEVEL: 'b' });
  assert.throws(() => settings.integer('PORT', 1, 1, 9), /PORT must be a whole number from 1 to 9, not 'x'/);
  assert.throws(() => settings.url('URL'), /URL must be an http/);
  assert.throws(() => settings.choice('LEVEL', 'a', ['a']), /LEVEL must be one of a/);
  assert.throws(() => settings.text('MISSING'), /MISSING is not set/);
  assert.throws(() => settings.secrets('SECRET'), (error) => /at least 32/.test(error.message) && !error.message.includes('short'));
});

test('a secret may be in a file', () => {
  writeFileSync(path.join(folder, 'secret'), `${'a'.repeat(32)}\n${'b'.repeat(32)}\n`);
  const settings = new Settings({ KEY_FILE: path.join(folder, 'secret') });
  assert.deepEqual(settings.secrets('KEY'), ['a'.repeat(32), 'b'.repeat(32)]);
  assert.throws(() => settings.secret('OTHER'), /OTHER is not set: give it, or in OTHER_FILE/);
});

test('services share a database and see only their own schema', async () => {
  const url = await emptyDatabase();
  mkdirSync(path.join(folder, 'migrations'));
  writeFileSync(path.join(folder, 'migrations/0001_cars.sql'), 'CREATE TABLE things (id INTEGER)');
  const [one, other] = ['one', 'other'].map((name) => ({ name, directory, tables: ['outbox'] }));
  const env = { DATABASE_URL: url };
  // Tasks that start together.
  const applied = await Promise.all([migrateService(one, env), migrateService(one, env), migrateService(other, env)]);
  assert.deepEqual(applied.map((names) => names.length).sort(), [0, 2, 2]);
  const database = new Database(url, 'one');
  await database.query('INSERT INTO things VALUES (1)');
  const second = new Database(url, 'other');
  assert.deepEqual(await second.query('SELECT * FROM things'), []);

  writeFileSync(path.join(folder, 'migrations/0001_cars.sql'), 'CREATE TABLE things (id TEXT)');
  await assert.rejects(migrate(database, one), /0001_cars.sql was changed after it had been applied/);
  writeFileSync(path.join(folder, 'migrations/0001_cars.sql'), 'CREATE TABLE things (id INTEGER)');
  writeFileSync(path.join(folder, 'migrations/0002_broken.sql'), 'ALTER TABLE things ADD more INTEGER; ALTER TABLE nothing ADD x INTEGER');
  await assert.rejects(migrate(database, one), /0002_broken.sql: relation "nothing" does not exist/);
  assert.deepEqual(await database.query('SELECT * FROM things'), [{ id: 1 }]);
  await Promise.all([database.close(), second.close()]);
});

test('a schema that was made for its role needs no right to make one', async () => {
  const url = new URL(await emptyDatabase());
  const owner = new Database(url.href, 'public');
  const role = `trial_${process.pid}`;
  await owner.query(`CREATE ROLE ${role} LOGIN`);
  await owner.query(`CREATE SCHEMA own AUTHORIZATION ${role}`);
  url.username = role;
  const name = 'own';
  assert.deepEqual(await migrateService({ name, directory: new URL('./fixtures/', import.meta.url) }, { DATABASE_URL: url.href }), ['0001_trial.sql']);
  await owner.query(`DROP OWNED BY ${role} CASCADE`);
  await owner.query(`DROP ROLE ${role}`);
  await owner.close();
});

test('a database that takes no writes is served from, and worked on when it is promoted', async () => {
  const url = await emptyDatabase();
  const service = { name: 'own', directory: new URL('./fixtures/', import.meta.url) };
  const env = { DATABASE_URL: url, HOST: '127.0.0.1', PORT: '0', DRAIN_MS: '0', LINGER_MS: '0', STANDBY_MS: '100' };
  await migrateService(service, env);
  await setReadOnly(url, true);
  assert.deepEqual(await migrateService(service, env), []);

  const began = [];
  const part = (name) => ({ start: () => began.push(name), stop: async () => began.push(`${name} ends`) });
  const create = async () => ({ handlers: {}, helpers: [part('helper')], workers: [part('worker')], outbox: part('outbox') });
  const standby = await start({ ...service, create }, env);
  await sleep(500);
  await standby.stop();
  assert.deepEqual(began, ['helper', 'helper ends', 'worker ends']);

  began.length = 0;
  const promoted = await start({ ...service, create }, env);
  await promoted.database.query('SELECT 1');
  await setReadOnly(url, false);
  await assert.rejects(promoted.database.query('CREATE TABLE more ()'), { name: 'DatabaseUnavailableError' });
  // What is connected has what was so when it began; a replica that is promoted tells at once.
  const end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
  const other = new Database(url, 'own');
  await other.query(end);
  await other.close();
  await until(() => began.length === 3);
  await promoted.stop();
  assert.deepEqual(began, ['helper', 'worker', 'outbox', 'helper ends', 'worker ends', 'outbox ends']);
});

test('a database that is away is called that, and nothing stays broken', async () => {
  const link = await linkTo(await emptyDatabase());
  const database = new Database(link.url, 'public');
  assert.deepEqual(await database.query('SELECT 1 AS one'), [{ one: 1 }]);
  link.cut();
  await assert.rejects(database.query('SELECT 1'), { name: 'DatabaseUnavailableError' });
  await assert.rejects(database.transaction((query) => query('SELECT 1')), { name: 'DatabaseUnavailableError' });
  link.mend();
  assert.deepEqual(await database.transaction((query) => query('SELECT 1 AS one')), [{ one: 1 }]);
  const between = database.transaction(async (query) => {
    await query('SELECT 1');
    link.cut();
    // Lost while nothing is asked: only the next query finds out.
    await sleep(50);
    return query('SELECT 1');
  });
  await assert.rejects(between, { name: 'DatabaseUnavailableError' });
  link.mend();
  assert.deepEqual(await database.query('SELECT 1 AS one'), [{ one: 1 }]);
  await assert.rejects(database.query('SELECT nonsense'), (error) => error.name !== 'DatabaseUnavailableError');
  await database.close();
});

test('who has logged in is known while auth is away', async () => {
  const issuer = await startIssuer();
  const settings = new Settings({ AUTH_URL: issuer.url });
  const asks = async (users, token) => users({ headers: { authorization: `Bearer ${await token}` } });
  const users = usersOf(settings);
  assert.deepEqual(await asks(users, issuer.token({ id: 'u-1', roles: ['adjuster'] })), { id: 'u-1', roles: ['adjuster'] });
  issuer.away = true;
  assert.equal((await asks(users, issuer.token({ id: 'u-2' }))).id, 'u-2');
  // A process that begins now knows no keys; as soon as auth is back, it does.
  const late = usersOf(settings);
  await assert.rejects(asks(late, issuer.token()), { status: 503, code: 'auth_unavailable' });
  issuer.away = false;
  assert.equal((await asks(late, issuer.token({ id: 'u-3' }))).id, 'u-3');

  await assert.rejects(asks(users, issuer.token({ expires: '-10m' })), { status: 401, message: /has expired/ });
  await assert.rejects(asks(users, issuer.token({ audience: 'others' })), { status: 401 });
  const stranger = await startIssuer();
  await assert.rejects(asks(users, stranger.token()), { status: 401 });
  await assert.rejects(users({ headers: {} }), { status: 401 });
});
