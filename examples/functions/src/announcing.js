import { describeError } from '../../backend/src/log.js';
import { allTaken, createdEvent, sendToAll } from '../../backend/src/listings/announcement.js';
import { listings, settings, sqs } from './clients.js';
import { log } from './log.js';

async function tell(queueUrls, created) {
  const { sent, failed } = await sendToAll(sqs, queueUrls, created.map(createdEvent));
  await listings.announced(sent);
  allTaken(failed);
}

/**
 * Tells the queues of a listing that was just created. The request waits for it, unlike on a host: nothing runs in a function after
 * its answer. It does not fail with it: what is not sent now the next sweep sends.
 */
export async function announce(listing) {
  try {
    const { queueUrls } = await settings();
    if (queueUrls.length > 0) await tell(queueUrls, [listing]);
  } catch (error) {
    log.error('listing not announced yet', { listing: listing.id, ...describeError(error.cause ?? error) });
  }
}

/**
 * Tells the queues of what is waiting for longer than a time.
 *
 * @returns {Promise<number>} of how many listings
 * @throws what keeps the messages from being sent; those that are left are sent by the next sweep
 */
export async function sweep(waitingMs) {
  const { queueUrls } = await settings();
  let count = 0;
  if (queueUrls.length === 0) return count;
  for await (const waiting of listings.toAnnounce(new Date(Date.now() - waitingMs).toISOString())) {
    await tell(queueUrls, waiting);
    count += waiting.length;
  }
  return count;
}
