import { FakeProvider } from './fake.js';

/**
 * Who moves the money. A provider has
 *   charge({id, amount, currency, method}, signal)   Promise of {outcome: 'succeeded' | 'declined', reason}
 *   refund({id, chargeId, amount, currency}, signal)  the same
 *   parseEvent(rawBody, signature)                    what a webhook says; throws for one that the provider did not sign
 * `id` is the key by which it does each thing once, however often it is asked, and answers the same. What is thrown, and what does not end
 * before the signal aborts, has an unknown outcome: it is asked again, or says so by a webhook.
 */
export const PROVIDERS = { fake: FakeProvider };
