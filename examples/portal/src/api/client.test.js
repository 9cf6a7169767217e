import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Session } from '../session.js';
import { memory } from '../testing/memory.js';
import { Client } from './client.js';
import { servicesOf } from './services.js';

const OLD = { access_token: 'old', refresh_token: 'once' };
const NEW = { access_token: 'new', refresh_token: 'next' };
let session;
let services;

beforeEach(() => {
  session = new Session(memory());
  services = servicesOf(new Client(session), session);
});
afterEach(() => vi.unstubAllGlobals());

/** Answers by `METHOD path`: each is a body, [status, body], or a function of the request that gives one. */
function answer(answers) {
  const fetch = vi.fn(async (path, options) => {
    const found = answers[`${options.method} ${path}`];
    const given = typeof found === 'function' ? found(options) : found;
    const [status, body] = Array.isArray(given) ? given : [200, given];
    return new Response(status === 204 ? null : typeof body === 'string' ? body : JSON.stringify(body), { status });
  });
  vi.stubGlobal('fetch', fetch);
  return { asked: () => fetch.mock.calls.map(([path, { method }]) => `${method} ${path}`), fetch };
}

test('a search asks for what was filled in only, and needs no login', async () => {
  const { fetch } = answer({ 'GET /api/cars?q=nexon+ev&page=2': { items: [] } });
  expect(await services.cars.search({ q: 'nexon ev', make: '' }, 2)).toEqual({ items: [] });
  expect(fetch.mock.calls[0][1].headers).toEqual({});
});

test('signing up leaves out a phone that was not given, and logs in', async () => {
  const { fetch, asked } = answer({
    'POST /api/auth/users': [201, {}],
    'POST /api/auth/tokens': [201, NEW],
    'GET /api/auth/users/me': { id: '1', name: 'Asha', email: 'asha@example.com' },
  });
  await services.auth.signUp({ email: 'asha@example.com', password: 'correct horse', name: 'Asha', phone: '' });
  expect(asked()).toEqual(['POST /api/auth/users', 'POST /api/auth/tokens', 'GET /api/auth/users/me']);
  expect(JSON.parse(fetch.mock.calls[0][1].body)).toEqual({ email: 'asha@example.com', password: 'correct horse', name: 'Asha' });
  expect(session.login).toEqual({ accessToken: 'new', refreshToken: 'next', user: { id: '1', name: 'Asha' } });
});

test('without a login nothing is asked', async () => {
  const { asked } = answer({});
  await expect(services.insurance.policies()).rejects.toMatchObject({ status: 401, code: 'unauthorized' });
  expect(asked()).toEqual([]);
});

test('a token that is no longer good is renewed once for all that need it', async () => {
  session.begin(OLD, { id: '1', name: 'Asha' });
  const byToken = ({ headers }) => (headers.Authorization === 'Bearer new' ? { items: [] } : [401, { code: 'unauthorized' }]);
  const { asked } = answer({
    'GET /api/insurance/policies': byToken,
    'GET /api/notification/notifications?page=1': byToken,
    'POST /api/auth/tokens/refresh': [201, NEW],
  });
  await Promise.all([services.insurance.policies(), services.notification.list(1)]);
  expect(asked().filter((request) => request.includes('refresh'))).toHaveLength(1);
  expect(session.login).toEqual({ accessToken: 'new', refreshToken: 'next', user: { id: '1', name: 'Asha' } });
});

test('a login that has ended is forgotten; one that cannot be renewed now is not', async () => {
  session.begin(OLD, { id: '1', name: 'Asha' });
  const refused = [401, { code: 'unauthorized' }];
  answer({ 'GET /api/insurance/policies': refused, 'POST /api/auth/tokens/refresh': [502, '<html>Bad gateway</html>'] });
  await expect(services.insurance.policies()).rejects.toThrow('The login service is away');
  expect(session.login).toBeDefined();
  answer({ 'GET /api/insurance/policies': refused, 'POST /api/auth/tokens/refresh': [401, { code: 'login_ended' }] });
  await expect(services.insurance.policies()).rejects.toThrow('Your login has ended');
  expect(session.login).toBeUndefined();
});

test('logging out forgets the login even if auth is away', async () => {
  session.begin(OLD, { id: '1', name: 'Asha' });
  const { fetch } = answer({ 'POST /api/auth/tokens/revoke': [502, ''] });
  await expect(services.auth.logOut()).rejects.toThrow();
  expect(session.login).toBeUndefined();
  expect(JSON.parse(fetch.mock.calls[0][1].body)).toEqual({ refresh_token: 'once' });
});

test('a page instead of an answer and a lost connection become sentences; a request that was given up stays one', async () => {
  answer({ 'GET /api/cars?page=1': '<html>the front page</html>' });
  await expect(services.cars.search({}, 1)).rejects.toThrow('The car listing service is away');
  const failing = (error) => vi.stubGlobal('fetch', () => Promise.reject(error));
  failing(new TypeError('Failed to fetch'));
  await expect(services.cars.search({}, 1)).rejects.toThrow('cannot reach');
  failing(new DOMException('given up', 'AbortError'));
  await expect(services.cars.search({}, 1)).rejects.toMatchObject({ name: 'AbortError' });
});
