import { consumer } from './consumer.js';

/** What a phone shows to those who follow the city. */
export const handler = consumer('notifications', ({ listing }) => ({
  topic: `city:${String(listing.city).toLowerCase()}`,
  title: `${listing.make} ${listing.model}`,
  body: `New in ${listing.city}: ${listing.year}, ${listing.price}`,
  link: `/cars/${listing.id}`,
}));
