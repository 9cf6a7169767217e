import { atEnd, startService, testCommon, until } from '@vahana-example/shared/testing';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { service as cars } from '../src/service.js';

const service = await startService(cars);
const { call, database, sqs, issuer } = service;
atEnd(service.assertAllSeen);

const CAR = {
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
const owner = randomUUID();
const token = issuer.token({ id: owner });
const list = (more = {}) => call('POST', '/api/cars', { token, body: { ...CAR, ...more } });
const found = async (query) => (await call('GET', `/api/cars?${new URLSearchParams(query)}`)).body;

testCommon(service);

test('who lists a car owns it, and is told of it', async () => {
  const { status, body: car, headers } = await list({ make: ' Tata ' });
  assert.equal(status, 201);
  assert.deepEqual([car.owner_id, car.make], [owner, 'Tata']);
  assert.deepEqual((await call('GET', headers.get('location'))).body, car);
  const event = await until(() => sqs.events('notification').find(({ data }) => data.car_id === car.id));
  assert.equal(event.type, 'car.listed');
  assert.deepEqual(event.data, { user_id: owner, car_id: car.id, make: 'Tata', model: 'Nexon EV', year: 2024, price: 1450000, city: 'Pune' });
});

test('only the owner changes a car or takes it away', async () => {
  const { body: car } = await list();
  const address = `/api/cars/${car.id}`;
  const stranger = issuer.token();
  assert.equal((await call('PUT', address, { token: stranger, body: CAR })).body.code, 'not_yours');
  assert.equal((await call('DELETE', address, { token: stranger })).status, 403);
  assert.equal((await call('DELETE', address)).status, 401);
  const { body: changed } = await call('PUT', address, { token, body: { ...CAR, price: 1 } });
  assert.deepEqual([changed.price, changed.owner_id, changed.created_at], [1, owner, car.created_at]);
  assert.ok(changed.updated_at > car.updated_at);
  assert.equal((await call('DELETE', address, { token })).status, 204);
  for (const method of ['GET', 'PUT', 'DELETE']) {
    assert.equal((await call(method, address, { token, ...(method === 'PUT' && { body: CAR }) })).status, 404);
  }
  assert.equal((await call('GET', '/api/cars/1')).status, 404);
});

test('says what is wrong with a car', async () => {
  const { body } = await list({ make: ' ', year: 1800, price: 1.5, fuel: 'coal', wheels: 4 });
  assert.deepEqual(Object.keys(body.fields).sort(), ['fuel', 'make', 'price', 'wheels', 'year']);
  const future = await list({ year: new Date().getUTCFullYear() + 2 });
  assert.deepEqual([future.status, Object.keys(future.body.fields)], [400, ['year']]);
});

test('is searched by words, make, fuel, owner and price', async () => {
  await database.query('DELETE FROM cars');
  await list({ make: 'Škoda', model: 'Kushaq', fuel: 'petrol', price: 1100000, city: 'Delhi' });
  await list({ make: 'Maruti', model: 'Swift', fuel: 'cng', price: 600000, description: '100%_sure' });
  await list({ make: 'Tata', model: 'Tiago', price: 900000 });
  const models = async (query) => (await found(query)).items.map((car) => car.model);
  assert.deepEqual(await models({}), ['Tiago', 'Swift', 'Kushaq']);
  assert.deepEqual(await models({ sort: 'price_asc' }), ['Swift', 'Tiago', 'Kushaq']);
  assert.deepEqual(await models({ q: 'DELHI škoda' }), ['Kushaq']);
  assert.deepEqual(await models({ q: '%_' }), ['Swift']);
  assert.deepEqual(await models({ make: 'ŠKODA' }), ['Kushaq']);
  assert.deepEqual(await models({ fuel: 'cng', q: '' }), ['Swift']);
  assert.deepEqual(await models({ min_price: 700000, max_price: 1000000 }), ['Tiago']);
  assert.deepEqual(await models({ owner_id: randomUUID() }), []);
  const wrong = await call('GET', '/api/cars?page=0&sort=odd&min_price=x');
  assert.deepEqual([wrong.status, Object.keys(wrong.body.fields).sort()], [400, ['min_price', 'page', 'sort']]);
});

test('comes in pages', async () => {
  await database.query('DELETE FROM cars');
  for (let number = 0; number < 21; number += 1) await list({ price: number });
  const first = await found({ sort: 'price_desc' });
  assert.deepEqual([first.total, first.pages, first.items.length, first.items[0].price], [21, 2, 20, 20]);
  assert.deepEqual((await found({ sort: 'price_desc', page: 2 })).items.map((car) => car.price), [0]);
});
