import { expect, test, vi } from 'vitest';
import { Failure } from '../api/failure.js';
import { newKey, pay } from './payments.js';

const DUE = { intent_id: 'i-1', confirm_at: '/api/payment/intents/i-1/confirmation' };
const SOON = { times: 3, everyMs: 1 };

/** A payment service that says this of a confirmation, and of the intent each time it is asked. */
function service(confirmation, ...statuses) {
  const confirm = vi.fn(async () => {
    if (confirmation instanceof Failure) throw confirmation;
    return { status: confirmation };
  });
  return { confirm, intent: vi.fn(async () => ({ status: statuses.shift() })) };
}

test('a payment that succeeds at once is not asked about again', async () => {
  const payment = service('succeeded');
  expect(await pay(payment, DUE, 'pm_succeeds', 'key-1')).toBe(true);
  expect(payment.confirm).toHaveBeenCalledWith(DUE, 'pm_succeeds', 'key-1');
  expect(payment.intent).not.toHaveBeenCalled();
});

test('a provider that answers late is waited for, but not for ever', async () => {
  expect(await pay(service('processing', 'processing', 'succeeded'), DUE, 'pm_times_out', 'key-1', SOON)).toBe(true);
  const silent = service('processing', ...Array(3).fill('processing'));
  expect(await pay(silent, DUE, 'pm_times_out', 'key-1', SOON)).toBe(false);
  expect(silent.intent).toHaveBeenCalledTimes(3);
});

test('a payment that is declined is said to be, at once or late', async () => {
  const declined = new Failure('payment_declined', { status: 402 });
  await expect(pay(service(declined), DUE, 'pm_declined', 'key-1')).rejects.toBe(declined);
  const late = service('processing', 'requires_payment');
  await expect(pay(late, DUE, 'pm_times_out', 'key-1', SOON)).rejects.toMatchObject({ code: 'payment_declined' });
});

test('a try before that went through after all is no failure', async () => {
  expect(await pay(service(new Failure('already_paid'), 'succeeded'), DUE, 'pm_succeeds', 'key-2')).toBe(true);
  expect(await pay(service(new Failure('payment_in_progress'), 'processing', 'succeeded'), DUE, 'pm_succeeds', 'key-2', SOON)).toBe(true);
});

test('each key is another, and of a form that the API takes', () => {
  expect(newKey()).toMatch(/^[\w:.-]{8,128}$/);
  expect(newKey()).not.toBe(newKey());
});
