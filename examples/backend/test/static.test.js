import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startApp, temporaryDirectory } from './helpers.js';

async function startWithPages(t) {
  const directory = temporaryDirectory(t);
  mkdirSync(path.join(directory, 'assets'));
  writeFileSync(path.join(directory, 'index.html'), '<!doctype html><title>Cars</title>');
  writeFileSync(path.join(directory, 'assets', 'app-4f2a.js'), `console.log("${'x'.repeat(4000)}")`);
  return startApp(t, { url: 'sqlite::memory:', publicDirectory: pathToFileURL(`${directory}/`) });
}

test('pages, assets and the API live side by side', async (t) => {
  const { call } = await startWithPages(t);
  for (const page of ['/', '/index.html', '/cars/42', '/listings?q=tata']) {
    const answer = await call('GET', page);
    assert.equal(answer.status, 200, page);
    assert.match(answer.text, /<title>Cars/);
    assert.equal(answer.headers.get('cache-control'), 'no-cache');
    assert.match(answer.headers.get('content-security-policy'), /default-src 'self'/);
  }
  const asset = await call('GET', '/assets/app-4f2a.js');
  assert.equal(asset.headers.get('cache-control'), 'public, max-age=31536000, immutable');
  assert.equal(asset.headers.get('content-type'), 'text/javascript; charset=utf-8');
  assert.equal(asset.headers.get('content-encoding'), 'gzip');
  assert.equal((await call('GET', '/', undefined, { 'If-None-Match': (await call('GET', '/')).headers.get('etag') })).status, 304);
  assert.equal((await call('HEAD', '/')).text, '');
  assert.equal((await call('GET', '/assets/gone.js')).status, 404);
  assert.equal((await call('POST', '/', {})).status, 404);
  assert.equal((await call('GET', '/api/cars')).json.error.code, 'not_found');
});

test('nothing outside public/ is served', async (t) => {
  const { base } = await startWithPages(t);
  const { request } = await import('node:http');
  for (const attempt of ['/../../package.json', '/%2e%2e/package.json', '/assets/..%2f..%2fpackage.json']) {
    const status = await new Promise((resolve, reject) => {
      // fetch would tidy the path up before sending it.
      request(base, { path: attempt }, (response) => resolve(response.resume().statusCode)).on('error', reject).end();
    });
    assert.equal(status, 404, attempt);
  }
});

test('without public/ only the API answers', async (t) => {
  const { call } = await startApp(t, { url: 'sqlite::memory:' });
  assert.equal((await call('GET', '/')).status, 404);
  assert.equal((await call('GET', '/api/health')).status, 200);
});
