import { consumer } from './consumer.js';

/** One row of the statistics: what was offered where, when and for how much. Nothing that a person wrote. */
export const handler = consumer('analytics', ({ type, time, listing }) => ({
  type,
  time,
  make: listing.make,
  model: listing.model,
  year: listing.year,
  price: listing.price,
  fuel: listing.fuel,
  city: listing.city,
}));
