import { expect, test } from 'vitest';
import { countCars, formatKilometres, formatPrice, hueOf } from './format.js';
import { EMPTY_LISTING, labelOf, readForm, FUELS } from './listing.js';

const FORM = { ...EMPTY_LISTING, make: ' Tata ', model: 'Nexon', year: '2024', price: '14,50,000', mileage_km: '12 000', city: 'Pune' };

test('a filled form becomes a listing', () => {
  expect(readForm(FORM)).toEqual({
    fields: {},
    listing: {
      make: 'Tata',
      model: 'Nexon',
      year: 2024,
      price: 1450000,
      mileage_km: 12000,
      fuel: 'petrol',
      transmission: 'manual',
      city: 'Pune',
      description: '',
    },
  });
});

test('everything wrong with a form is told at once', () => {
  const { listing, fields } = readForm({ ...EMPTY_LISTING, year: '1885', price: '-5', mileage_km: '1.5' });
  expect(listing).toBeUndefined();
  expect(fields).toMatchObject({ make: 'is required', model: 'is required', city: 'is required' });
  expect(fields.year).toMatch(/from 1886 to/);
  expect(fields.price).toBe('must be a whole number');
  expect(fields.mileage_km).toBe('must be a whole number');
});

test('prices and distances read as they are spoken', () => {
  expect(formatPrice(85000)).toBe('₹85,000');
  expect(formatPrice(1450000)).toBe('₹14.5 lakh');
  expect(formatPrice(12000000)).toBe('₹1.2 crore');
  expect(formatKilometres(123456)).toBe('1,23,456 km');
  expect([0, 1, 2].map((count) => countCars(count))).toEqual(['0 cars', '1 car', '2 cars']);
  expect(countCars(20, true)).toBe('20+ cars');
});

test('a model keeps its colour', () => {
  expect(hueOf('Tata Nexon')).toBe(hueOf('Tata Nexon'));
  expect(hueOf('Škoda Kylaq')).toBeLessThan(360);
  expect(labelOf(FUELS, 'cng')).toBe('CNG');
});
