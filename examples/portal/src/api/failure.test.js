import { expect, test } from 'vitest';
import { failureOf } from './failure.js';

test('a problem becomes a sentence for people, and keeps its code and fields for the page', () => {
  expect(failureOf('auth', 409, { code: 'email_taken' }).message).toContain('Log in instead');
  const fields = { year: 'must be <= 2027' };
  expect(failureOf('cars', 400, { code: 'invalid', fields })).toMatchObject({ code: 'invalid', fields });
  expect(failureOf('cars', 500, { code: 'never_heard_of' }).message).toContain('wrong on our side');
});

test.each([
  ['its load balancer answers for it', ['insurance', 502], 'The insurance service is away'],
  ['it misses another one', ['insurance', 503, { code: 'cars_unavailable' }], 'The car listing service is away'],
  ['it misses its database', ['payment', 503, { code: 'database_unavailable' }], 'The payment service is away'],
])('a service that is away is named when %s', (_, asked, sentence) => {
  const { message } = failureOf(...asked);
  expect(message).toContain(sentence);
  expect(message).toContain('Everything that does not need it works');
});
