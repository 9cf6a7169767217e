import './quiet.js';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { createApp } from '../src/app.js';
import { openCache } from '../src/cache.js';
import { openDatabase } from '../src/database/index.js';
import { Reads } from '../src/database/reads.js';
import { Announcer } from '../src/events.js';
import { migrate } from '../src/migrations.js';
import { CAR, caller } from './contract.js';

export { CAR, migrate, openDatabase };

export const scripts = {
  server: fileURLToPath(new URL('../src/server.js', import.meta.url)),
  migrate: fileURLToPath(new URL('../src/migrate.js', import.meta.url)),
};

/** What a process is given: nothing of the tests' own but what is named. */
export const processEnvironment = (more) => ({
  ...process.env,
  NODE_ENV: 'production',
  HOST: '127.0.0.1',
  PORT: '0',
  LOG_LEVEL: 'info',
  DATABASE_READ_URL: '',
  REDIS_URL: '',
  ...more,
});

export const postgresUrl = process.env.DATABASE_URL?.startsWith('postgres') ? process.env.DATABASE_URL : undefined;

/** A database of its own on the given server: the tests leave nothing in the one that the URL names. */
export async function freshPostgres(t) {
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

/** A directory that is gone when the test ends. */
export function temporaryDirectory(t) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'vahana-backend-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const NOWHERE = new URL('file:///nonexistent/');

/** The application on a free loopback port, its schema migrated. */
export async function startApp(t, { url, readUrl, cacheUrl = '', queueUrls = [], sweepMs, publicDirectory = NOWHERE }) {
  const database = await openDatabase(url);
  await migrate(database);
  // A busy machine is no lost replica.
  const patience = { connectionTimeoutMillis: 20000, statement_timeout: 20000, query_timeout: 20000 };
  const replica = readUrl && (await openDatabase(readUrl, { replica: patience }));
  const cache = openCache(cacheUrl);
  const reads = new Reads(database, replica);
  const announcer = new Announcer({ database, queueUrls, sweepMs });
  const server = http.createServer(createApp({ database, reads, cache, announcer, version: '1.2.3-test', publicDirectory }));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await announcer.close();
    await Promise.all([cache.close(), replica?.close(), database.close()]);
  });
  const base = `http://127.0.0.1:${server.address().port}`;

  return { base, database, call: caller(base) };
}
