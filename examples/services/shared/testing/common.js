import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from './until.js';

/** What is tested of every service. @param {object} service as startService() gives it */
export function testCommon(service) {
  const { call, name } = service;

  const health = () => call('GET', `/api/${name}/health`);
  // A busy machine may be too slow for the first answer in time.
  const isWell = () => until(async () => (await health()).status === 200);

  test('says how it is and what it is', async () => {
    await isWell();
    assert.deepEqual((await health()).body, { status: 'ok', version: '1.2.3-test', database: 'primary' });
    const { body } = await call('GET', `/api/${name}/version`);
    assert.deepEqual(body, { version: '1.2.3-test', node: process.versions.node });
    const head = await fetch(`${service.url}/api/${name}/health`, { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.ok(Number(head.headers.get('content-length')) > 0);
  });

  test('is not well without its database, and well again with it', async () => {
    service.databaseLink.cut();
    const { status, body } = await health();
    assert.deepEqual([status, body], [503, { status: 'unavailable', version: '1.2.3-test', database: 'unreachable' }]);
    assert.deepEqual(await call('GET', `/api/${name}/health?live=true`).then((alive) => [alive.status, alive.body]), [200, body]);
    service.databaseLink.mend();
    await isWell();
  });

  test('stands by as long as its database takes no writes', async () => {
    for (const [readOnly, database] of [[true, 'standby'], [false, 'primary']]) {
      await service.readOnly(readOnly);
      await isWell();
      assert.deepEqual((await health()).body, { status: 'ok', version: '1.2.3-test', database });
    }
  });

  test('is well whatever becomes of the others', async () => {
    service.sqs.away = true;
    service.issuer.away = true;
    await isWell();
    service.sqs.away = false;
    service.issuer.away = false;
  });

  test('knows no other addresses', async () => {
    const nowhere = await call('GET', `/api/${name}/nowhere/at/all`);
    assert.deepEqual([nowhere.status, nowhere.body.code], [404, 'not_found']);
    assert.equal(nowhere.headers.get('content-type'), 'application/problem+json');
    const wrong = await call('DELETE', `/api/${name}/version`);
    assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'GET']);
  });
}
