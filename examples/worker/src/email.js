import { consumer } from './consumer.js';

/** The mail that tells the editors of a new listing, ready to be sent. */
export const handler = consumer('email', ({ listing }) => ({
  to: process.env.EMAIL_TO ?? 'editors@example.com',
  subject: `New listing: ${listing.make} ${listing.model} (${listing.year})`,
  text: `${listing.make} ${listing.model}, ${listing.year}, in ${listing.city}.\n\n${listing.description ?? ''}\n\n/cars/${listing.id}\n`,
}));
