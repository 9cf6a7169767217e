import { Failure } from '../api/failure.js';
import { poll } from '../poll.js';

/** Names a payment. Not crypto.randomUUID(), which pages without TLS do not have. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16)).join('-');

/** Of the fake provider, which moves no money; each shows another thing that may happen. */
export const METHODS = [
  ['pm_succeeds', 'Card that works', 'Is charged at once.'],
  ['pm_needs_retry', 'Card that works when asked twice', 'Fails first; the payment service tries again.'],
  ['pm_times_out', 'Card with a slow bank', 'The bank answers a second later.'],
  ['pm_declined', 'Card that is declined', 'The bank refuses.'],
];

/**
 * Pays what is due, and waits a while for a provider that does not answer at once.
 *
 * @param {object} payment the service
 * @param {string} key the same again when it is not known what became of the last try: that is still one payment
 * @returns {Promise<boolean>} whether it is known that it is paid: a provider may take long
 * @throws {Failure} payment_declined among others
 */
export async function pay(payment, due, method, key, polling) {
  const read = () => payment.intent(due.intent_id);
  let intent;
  try {
    intent = await payment.confirm(due, method, key);
  } catch (error) {
    // A try before this one went through, or may yet.
    if (!['already_paid', 'payment_in_progress'].includes(error.code)) throw error;
    intent = await read();
  }
  if (intent.status === 'processing') intent = await poll(read, ({ status }) => status !== 'processing', polling);
  if (intent.status === 'requires_payment') throw new Failure('payment_declined', { status: 402 });
  return intent.status === 'succeeded';
}
