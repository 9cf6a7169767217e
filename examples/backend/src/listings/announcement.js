/** What SQS takes in one request. */
export const BATCH = 10;

/** The event of a listing that was created. Its id is the listing's, by which consumers know what they have seen. */
export const createdEvent = (listing) => ({ id: listing.id, type: 'listing.created', time: listing.created_at, listing });

/**
 * Sends events to every queue.
 *
 * @param {object} sqs client with sendMessageBatch (SQS of @aws-sdk/client-sqs)
 * @param {string[]} queueUrls
 * @param {object[]} events as createdEvent makes them, at most BATCH
 * @returns {Promise<{sent: string[], failed: object[]}>} ids of the events that all queues took, and what SQS says of the others
 */
export async function sendToAll(sqs, queueUrls, events) {
  const Entries = events.map((event) => ({ Id: event.id, MessageBody: JSON.stringify(event) }));
  const answers = await Promise.all(queueUrls.map((QueueUrl) => sqs.sendMessageBatch({ QueueUrl, Entries })));
  const failed = answers.flatMap((answer) => answer.Failed ?? []);
  const refused = new Set(failed.map((entry) => entry.Id));
  return { sent: events.map((event) => event.id).filter((id) => !refused.has(id)), failed };
}

/** @throws {Error} what SQS says of the first message that it did not take */
export function allTaken(failed) {
  if (failed.length > 0) throw new Error(`SQS took ${failed.length} messages not: ${failed[0].Code}: ${failed[0].Message}`);
}
