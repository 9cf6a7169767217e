import './quiet.js';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createApp } from '../src/app.js';
import { openCache } from '../src/cache.js';
import { openDatabase } from '../src/database/index.js';
import { Reads } from '../src/database/reads.js';
import { Announcer } from '../src/events.js';
import { migrate } from '../src/migrations.js';

export { migrate, openDatabase };

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

  async function call(method, pathname, body, headers = {}) {
    const response = await fetch(base + pathname, {
      method,
      headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const json = response.headers.get('content-type')?.startsWith('application/json') ? JSON.parse(text) : undefined;
    return { status: response.status, headers: response.headers, text, json };
  }
  return { base, database, call };
}

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
