import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { CAR } from '../../backend/test/contract.js';
import { decodeCursor } from '../../backend/src/listings/cursor.js';
import { ListingTable } from '../src/table.js';
import { aws, makeEnvironment, noAws } from './environment.js';

process.env.AWS_LAMBDA_LOG_LEVEL = 'FATAL';
const DAY = 86_400;

describe('the functions', { skip: noAws }, () => {
  const make = `Tata ${process.pid}`;
  let environment;
  let api;
  let announcing;
  let sweep;
  let clients;
  before(async () => {
    environment = await makeEnvironment(`listings-functions-${process.pid}`, ['email', 'analytics']);
    // Only now: they are told where their parameters are when they are loaded.
    ({ handler: api } = await import('../src/api.js'));
    ({ handler: sweep } = await import('../src/sweep.js'));
    announcing = await import('../src/announcing.js');
    clients = await import('../src/clients.js');
  });
  after(() => environment.remove());

  async function call(method, path, body, headers = {}) {
    const event = {
      rawPath: path,
      rawQueryString: '',
      headers: { 'content-type': 'application/json', ...headers },
      requestContext: { http: { method } },
      ...body,
    };
    const answer = await api(event, { awsRequestId: randomUUID() });
    return { ...answer, json: answer.body && JSON.parse(answer.body) };
  }
  const add = (more) => call('POST', '/api/listings', { body: JSON.stringify({ ...CAR, make, ...more }) });

  async function messages(queue) {
    const { Messages: found = [] } = await aws.sqs.receiveMessage({ QueueUrl: environment.queueUrls[queue], MaxNumberOfMessages: 10 });
    for (const { ReceiptHandle } of found) await aws.sqs.deleteMessage({ QueueUrl: environment.queueUrls[queue], ReceiptHandle });
    return found.map(({ Body: body }) => JSON.parse(body));
  }
  async function waiting() {
    const found = [];
    for await (const batch of clients.listings.toAnnounce('9')) found.push(...batch);
    return found;
  }

  test('each queue is told of a listing once, when it is created', async () => {
    const { json: listing } = await add();
    const event = { id: listing.id, type: 'listing.created', time: listing.created_at, listing };
    for (const queue of ['email', 'analytics']) assert.deepEqual(await messages(queue), [event]);
    assert.deepEqual(await waiting(), []);
    await call('PUT', `/api/listings/${listing.id}`, { body: JSON.stringify(CAR) });
    assert.equal((await add({ price: 'much' })).statusCode, 400);
    assert.deepEqual(await messages('email'), []);
  });

  test('what SQS does not take is sent by a sweep, unless the listing is gone', async () => {
    await aws.sqs.deleteQueue({ QueueUrl: environment.queueUrls.email });
    const created = [];
    for (let count = 0; count < 12; count += 1) created.push((await add()).json);
    const deleted = created.pop();
    assert.equal((await call('DELETE', `/api/listings/${deleted.id}`)).statusCode, 204);
    assert.deepEqual(await waiting(), created);
    await assert.rejects(announcing.sweep(0), { name: 'QueueDoesNotExist' });

    await aws.sqs.createQueue({ QueueName: environment.queueUrls.email.split('/').at(-1) });
    // Young ones are left to the requests that made them.
    assert.deepEqual(await sweep(), { announced: 0 });
    assert.equal(await announcing.sweep(0), 11);
    const told = [...(await messages('email')), ...(await messages('email'))];
    assert.deepEqual(new Set(told.map(({ id }) => id)), new Set(created.map(({ id }) => id)));
    assert.deepEqual(await waiting(), []);
    assert.equal(await announcing.sweep(0), 0);
  });

  test('an announcement that nobody can send expires', async () => {
    await aws.sqs.deleteQueue({ QueueUrl: environment.queueUrls.email });
    const { json: listing } = await add();
    const { Item: item } = await aws.dynamodb.getItem({
      TableName: environment.table,
      Key: { pk: { S: `LISTING#${listing.id}` }, sk: { S: 'ANNOUNCEMENT' } },
    });
    const days = (Number(item.expires_at.N) - Date.now() / 1000) / DAY;
    assert.ok(days > 13.9 && days <= 14, `${days} days`);
    const { TimeToLiveDescription: ttl } = await aws.dynamodb.describeTimeToLive({ TableName: environment.table });
    assert.equal(ttl.AttributeName, 'expires_at');
    const stored = await aws.dynamodb.getItem({ TableName: environment.table, Key: { pk: item.pk, sk: { S: 'LISTING' } } });
    assert.equal(stored.Item.expires_at, undefined, 'a listing stays');
    await aws.sqs.createQueue({ QueueName: environment.queueUrls.email.split('/').at(-1) });
  });

  test('a search reads so much at the most, and goes on where it was', async () => {
    const { documents, settings } = clients;
    const few = new ListingTable(documents, settings, { step: 3, queries: 2 });
    const own = `Rare ${process.pid}`;
    for (const model of ['One', 'Two']) await add({ make: own, model, price: 1 });
    for (let count = 0; count < 14; count += 1) await add({ make: own, model: 'Other', price: 2 });
    const found = [];
    const sizes = [];
    let after;
    do {
      const page = await few.search({ q: 'o', make: own, sort: 'price_desc', minPrice: undefined, maxPrice: 1e6, after });
      found.push(...page.items.filter((item) => item.model !== 'Other').map((item) => item.model));
      sizes.push(page.items.length);
      after = page.next && decodeCursor('price_desc', page.next);
    } while (after);
    assert.deepEqual(found.sort(), ['One', 'Two']);
    assert.deepEqual(sizes, [6, 6, 4]);
    const none = await few.search({ q: 'nothing', make: own, sort: 'newest' });
    assert.deepEqual([none.items, typeof none.next], [[], 'string']);
  });

  test('a body in base64 is read', async () => {
    const body = { body: Buffer.from(JSON.stringify({ ...CAR, make, city: 'Çanakkale' })).toString('base64'), isBase64Encoded: true };
    assert.equal((await call('POST', '/api/listings', body)).json.city, 'Çanakkale');
  });

  test('writes that meet others are tried again, for a while', async () => {
    const conflict = Object.assign(new Error(), { name: 'TransactionCanceledException', CancellationReasons: [{ Code: 'TransactionConflict' }] });
    const single = Object.assign(new Error(), { name: 'TransactionConflictException' });
    const meeting = (...errors) => {
      const send = async () => {
        if (errors.length > 0) throw errors.shift();
        return { Attributes: CAR };
      };
      return new ListingTable({ send }, async () => ({ table: 'x', queueUrls: [] }));
    };
    assert.equal((await meeting(conflict, conflict).create('x', CAR)).make, CAR.make);
    assert.equal((await meeting(single).replace('x', CAR)).make, CAR.make);
    await assert.rejects(meeting(conflict, conflict, conflict, conflict).create('x', CAR), { name: 'DatabaseUnavailableError' });
  });

  test('a table that is not there is 503', async () => {
    const lost = new ListingTable(clients.documents, async () => ({ table: 'nowhere', queueUrls: [] }));
    for (const [name, ...input] of [['ping'], ['get', 'x'], ['create', 'x', CAR], ['replace', 'x', CAR], ['remove', 'x'], ['search', { q: '', sort: 'newest' }]]) {
      await assert.rejects(lost[name](...input), { name: 'DatabaseUnavailableError' }, name);
    }
  });
});
