import { sweep } from './announcing.js';
import { log } from './log.js';

// Younger ones are on their way from the request that created them.
const WAITING_MS = 30_000;

/** The Lambda handler of a schedule, each minute: sends the messages that the requests could not. It fails when it cannot either. */
export async function handler() {
  const announced = await sweep(WAITING_MS);
  if (announced > 0) log.info('listings announced late', { announced });
  return { announced };
}
