import { expect, test } from 'vitest';
import { filterOf, NO_FILTER, queryOf } from './filter.js';

test('a filter and its address say the same', () => {
  const filter = { ...NO_FILTER, q: 'nexon ev & more', fuel: 'electric', min_price: '100000', sort: 'price_asc' };
  expect(filterOf(new URLSearchParams(queryOf(filter)).toString())).toEqual(filter);
});

test('what is empty or the default is not asked for', () => {
  expect(queryOf({ ...NO_FILTER, q: ' swift ', make: '  ' })).toEqual({ q: 'swift' });
  expect(queryOf(filterOf('?page=7'))).toEqual({});
});
