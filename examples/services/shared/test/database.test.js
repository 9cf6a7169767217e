import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { Database, DatabaseUnavailableError } from '../src/database.js';

test('the health does not wait for a database that says nothing', async () => {
  const sockets = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const database = new Database(`postgres://cars@127.0.0.1:${silent.address().port}/cars?sslmode=disable`, 'cars');
  const began = performance.now();
  await assert.rejects(database.ping(), DatabaseUnavailableError);
  assert.ok(performance.now() - began < 4000);
  for (const socket of sockets) socket.destroy();
  silent.close();
  await database.close();
});
