import { afterEach, expect, test, vi } from 'vitest';
import { addListing, ApiError, newKey, readQuery, searchListings, searchQuery } from './api.js';

afterEach(() => vi.unstubAllGlobals());

function answer(status, body) {
  const fetch = vi.fn(async () => new Response(body, { status }));
  vi.stubGlobal('fetch', fetch);
  return fetch;
}

test('a search and its address say the same', () => {
  const filter = { q: 'nexon ev & more', make: 'Tata', minPrice: '100000', maxPrice: '', sort: 'price_asc' };
  expect(readQuery(searchQuery(filter))).toEqual(filter);
  expect(searchQuery(readQuery(''))).toBe('');
});

test('searching asks the API with what was filled in only', async () => {
  const fetch = answer(200, '{"items":[]}');
  expect(await searchListings({ ...readQuery(''), q: ' swift ' })).toEqual({ items: [] });
  expect(fetch.mock.calls[0][0]).toBe('/api/listings?q=swift');
});

test('an empty page that is not the last is passed over', async () => {
  const answers = ['{"items":[],"next":"a b"}', '{"items":[1],"next":null}'];
  const fetch = vi.fn(async () => new Response(answers.shift()));
  vi.stubGlobal('fetch', fetch);
  expect(await searchListings(readQuery('make=Tata'))).toEqual({ items: [1], next: null });
  expect(fetch.mock.calls.map(([address]) => address)).toEqual(['/api/listings?make=Tata', '/api/listings?make=Tata&cursor=a+b']);
});

test('a creation is named, by another name each time', async () => {
  const fetch = answer(201, '{}');
  const [one, other] = [newKey(), newKey()];
  await addListing({}, one);
  expect(fetch.mock.calls[0][1].headers['Idempotency-Key']).toBe(one);
  expect(one).toMatch(/^[0-9a-f-]{7,}$/);
  expect(one).not.toBe(other);
});

test('what is wrong with a form comes back by field', async () => {
  answer(400, JSON.stringify({ error: { code: 'invalid', fields: { year: 'is required' } } }));
  await expect(addListing({}, 'key')).rejects.toMatchObject({ name: 'ApiError', status: 400, fields: { year: 'is required' } });
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
