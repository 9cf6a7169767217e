import { expect, test } from 'vitest';
import { readCar } from './car.js';

const TEXTS = { make: '', model: '', year: '', price: '', mileage_km: '', city: '', description: '' };
const EMPTY = { ...TEXTS, fuel: 'petrol', transmission: 'manual' };

test('a filled form becomes a car', () => {
  const form = { ...EMPTY, make: ' Tata ', model: 'Nexon', year: '2024', price: '14,50,000', mileage_km: '12 000', city: 'Pune' };
  const car = { ...EMPTY, make: 'Tata', model: 'Nexon', year: 2024, price: 1450000, mileage_km: 12000, city: 'Pune' };
  expect(readCar(form)).toEqual({ car, fields: {} });
});

test('everything wrong with a form is told at once', () => {
  const { car, fields } = readCar({ ...EMPTY, year: '1885', price: '-5', mileage_km: '1.5' }, new Date('2026-06-01'));
  expect(car).toBeUndefined();
  expect(fields).toEqual({
    make: 'is required',
    model: 'is required',
    city: 'is required',
    year: 'must be from 1886 to 2027',
    price: 'must be a whole number',
    mileage_km: 'must be a whole number',
  });
});
