import { expect, test, vi } from 'vitest';
import { Session } from './session.js';
import { memory } from './testing/memory.js';

const TOKENS = { access_token: 'access', refresh_token: 'refresh', token_type: 'Bearer', expires_in: 900 };

test('a login is there after the page is loaded again, until it ends', () => {
  const storage = memory();
  const session = new Session(storage);
  expect(session.login).toBeUndefined();
  session.begin(TOKENS, { id: '1', name: 'Asha' });
  expect(new Session(storage).login).toEqual({ accessToken: 'access', refreshToken: 'refresh', user: { id: '1', name: 'Asha' } });
  session.end();
  expect(new Session(storage).login).toBeUndefined();
});

test('who listens is told, until they no longer want to be', () => {
  const session = new Session(memory());
  const listener = vi.fn();
  const leave = session.subscribe(listener);
  session.begin(TOKENS, {});
  session.end();
  leave();
  session.begin(TOKENS, {});
  expect(listener).toHaveBeenCalledTimes(2);
});
