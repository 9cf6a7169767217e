import { afterEach, expect, test, vi } from 'vitest';
import { addListing, ApiError, readQuery, searchListings, searchQuery } from './api.js';

afterEach(() => vi.unstubAllGlobals());

function answer(status, body) {
  const fetch = vi.fn(async () => new Response(body, { status }));
  vi.stubGlobal('fetch', fetch);
  return fetch;
}

test('a search and its address say the same', () => {
  const filter = { q: 'nexon ev & more', make: 'Tata', minPrice: '100000', maxPrice: '', sort: 'price_asc', page: 3 };
  expect(readQuery(searchQuery(filter))).toEqual(filter);
  expect(searchQuery(readQuery(''))).toBe('');
  expect(readQuery('page=-1&q=x').page).toBe(1);
});

test('searching asks the API with what was filled in only', async () => {
  const fetch = answer(200, '{"items":[]}');
  expect(await searchListings({ ...readQuery(''), q: ' swift ' })).toEqual({ items: [] });
  expect(fetch.mock.calls[0][0]).toBe('/api/listings?q=swift');
});

test('what is wrong with a form comes back by field', async () => {
  answer(400, JSON.stringify({ error: { code: 'invalid', fields: { year: 'is required' } } }));
  await expect(addListing({})).rejects.toMatchObject({ name: 'ApiError', status: 400, fields: { year: 'is required' } });
});

test('a page of a proxy in trouble and a lost connection become sentences', async () => {
  answer(502, '<html>Bad gateway</html>');
  await expect(searchListings(readQuery(''))).rejects.toThrow('busy');
  answer(200, '<html>not the API</html>');
  await expect(searchListings(readQuery(''))).rejects.toBeInstanceOf(ApiError);
  vi.stubGlobal('fetch', async () => {
    throw new TypeError('Failed to fetch');
  });
  await expect(searchListings(readQuery(''))).rejects.toThrow('cannot reach');
});
