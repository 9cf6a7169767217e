import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refundOf } from '../src/policies.js';
import { rate } from '../src/rating.js';

const CAR = { year: 2024, price: 1450000, mileage_km: 12000, fuel: 'petrol' };
const WISH = { cover: 'comprehensive', driver_age: 40, no_claims_years: 0 };
const premium = (car = {}, wish = {}) => rate({ ...CAR, ...car }, { ...WISH, ...wish }, 2026).premium / 100;

test('premiums, worked out by hand', () => {
  assert.equal(premium({}, { cover: 'third_party' }), 3500);
  // 1,450,000 less 16 % is 1,218,000, of which 2.5 % is 30,450.
  assert.equal(premium(), 33950);
  assert.equal(premium({}, { driver_age: 24 }), 44135);
  assert.equal(premium({}, { driver_age: 71 }), 39043);
  assert.equal(premium({ mileage_km: 100001 }), 37345);
  assert.equal(premium({ fuel: 'electric' }), 32253);
  assert.equal(premium({}, { no_claims_years: 2 }), 30555);
  assert.equal(premium({}, { no_claims_years: 20 }), 23765);
  // One step after the other, each in whole rupees: 33,950, 44,135, 41,928, 35,639.
  assert.equal(premium({ fuel: 'electric' }, { driver_age: 20, no_claims_years: 3 }), 35639);
});

test('an old car is worth something, a new one not more than its price', () => {
  assert.equal(rate({ ...CAR, year: 1950 }, WISH, 2026).insuredValue, 43500000);
  assert.equal(rate({ ...CAR, year: 2027 }, WISH, 2026).insuredValue, 145000000);
});

test('the steps lead to the premium', () => {
  const { steps } = rate({ ...CAR, fuel: 'electric' }, { ...WISH, no_claims_years: 3 }, 2026);
  assert.deepEqual(steps, [
    { rule: 'third party', percent: null, premium: 350000 },
    { rule: '2.5 % of the insured value', percent: null, premium: 3395000 },
    { rule: 'electric', percent: -5, premium: 3225300 },
    { rule: 'years without a claim', percent: -15, premium: 2741500 },
  ]);
});

test('what is paid back of a policy', () => {
  const policy = { premium: 3650000, starts_at: '2026-01-01T12:00:00Z', ends_at: '2027-01-01T12:00:00Z' };
  const at = (time) => refundOf(policy, Date.parse(time));
  assert.equal(at('2026-01-15T11:59:59Z'), 3650000);
  // 351 of 365 days at 100 rupees.
  assert.equal(at('2026-01-15T12:00:00Z'), 3510000);
  assert.equal(at('2026-12-31T13:00:00Z'), 0);
});
