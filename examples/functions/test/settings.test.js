import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SSMClient } from '@aws-sdk/client-ssm';

process.env.AWS_LAMBDA_LOG_LEVEL = 'ERROR';
const { followSettings } = await import('../src/settings.js');
const { ListingTable } = await import('../src/table.js');

const PARAMETERS = [
  [{ Name: '/cars/prod/api/table', Value: 'cars' }, { Name: '/cars/prod/api/other', Value: 'x' }],
  [{ Name: '/cars/prod/api/queues/email', Value: 'https://queue/email' }],
];

/** Parameter Store with two pages; it counts how often they were asked for, and is broken where `broken` is true. */
function parameterStore() {
  const ssm = new SSMClient({ region: 'us-east-1' });
  const store = { ssm, asked: 0, broken: false, pages: PARAMETERS };
  ssm.send = async ({ input }) => {
    if (store.broken) throw new Error('no answer');
    assert.equal(input.Path, '/cars/prod/api');
    if (!input.NextToken) store.asked += 1;
    return input.NextToken ? { Parameters: store.pages[1] } : { Parameters: store.pages[0], NextToken: 'more' };
  };
  return store;
}

test('parameters are read once for a while, by all who ask at once', async (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const store = parameterStore();
  const settings = followSettings(store.ssm, '/cars/prod/api', 1000);
  const expected = { table: 'cars', queueUrls: ['https://queue/email'] };
  assert.deepEqual(await Promise.all([settings(), settings()]), [expected, expected]);
  assert.equal(store.asked, 1);
  t.mock.timers.tick(999);
  await settings();
  assert.equal(store.asked, 1);
  t.mock.timers.tick(2);
  store.pages = [[{ Name: '/cars/prod/api/table', Value: 'cars-2' }], []];
  assert.deepEqual(await settings(), { table: 'cars-2', queueUrls: [] });
  assert.equal(store.asked, 2);
});

test('parameters that cannot be read stay as they were', async (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const store = parameterStore();
  const settings = followSettings(store.ssm, '/cars/prod/api', 1000);
  const known = await settings();
  store.broken = true;
  t.mock.timers.tick(1001);
  assert.deepEqual(await settings(), known);
  store.broken = false;
  t.mock.timers.tick(1001);
  await settings();
  assert.equal(store.asked, 2);
});

test('without parameters there is no table, and each request asks again', async () => {
  const store = parameterStore();
  const settings = followSettings(store.ssm, '/cars/prod/api');
  store.broken = true;
  await assert.rejects(settings(), { name: 'DatabaseUnavailableError' });
  store.broken = false;
  store.pages = [[], []];
  await assert.rejects(settings(), (error) => error.cause.message === 'there is no parameter /cars/prod/api/table');
  store.pages = PARAMETERS;
  assert.equal((await settings()).table, 'cars');
});

test('who may not use the table any more learns at once which one has taken its place', async () => {
  const store = parameterStore();
  const settings = followSettings(store.ssm, '/cars/prod/api');
  await settings();
  store.pages = [[{ Name: '/cars/prod/api/table', Value: 'cars-restored' }], []];
  const used = [];
  const documents = {
    send: async ({ input }) => {
      used.push(input.TableName);
      if (input.TableName === 'cars') throw Object.assign(new Error('not allowed'), { name: 'AccessDeniedException' });
      return {};
    },
  };
  await new ListingTable(documents, settings).ping();
  assert.deepEqual(used, ['cars', 'cars-restored']);
  // Where there is no other table it is tried once more, and no more.
  documents.send = async ({ input }) => {
    used.push(input.TableName);
    throw Object.assign(new Error('not allowed'), { name: 'AccessDeniedException' });
  };
  await assert.rejects(new ListingTable(documents, settings).ping(), { name: 'DatabaseUnavailableError' });
  assert.deepEqual(used.slice(2), ['cars-restored', 'cars-restored']);
});
