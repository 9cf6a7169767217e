import { expect, test } from 'vitest';
import { count, formatAmount, formatDay, formatKilometres, formatPrice, hueOf } from './format.js';

test('prices, amounts and distances read as they are spoken', () => {
  expect([85000, 1450000, 12000000].map(formatPrice)).toEqual(['₹85,000', '₹14.5 lakh', '₹1.2 crore']);
  expect([1234500, 1234550].map(formatAmount)).toEqual(['₹12,345', '₹12,345.50']);
  expect(formatKilometres(123456)).toBe('1,23,456 km');
  expect(formatDay('2027-11-28T12:00:00Z')).toBe('28 November 2027');
  expect([0, 1, 2].map((number) => count(number, 'car'))).toEqual(['0 cars', '1 car', '2 cars']);
});

test('a model keeps its colour', () => {
  expect(hueOf('Tata Nexon')).toBe(hueOf('Tata Nexon'));
  expect(hueOf('Škoda Kylaq')).toBeLessThan(360);
});
