import { UUID } from './identity.js';

/** What each order sorts by; the id after it makes the order total: no listing is on two pages or on none. */
export const SORT_KEYS = { newest: 'created_at', price_asc: 'price', price_desc: 'price' };

const TIME = /^2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const VALID = {
  created_at: (value) => TIME.test(value) && !Number.isNaN(Date.parse(value)),
  price: (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 31,
};

/**
 * The place behind a listing in an order, as text that clients only hand back. It names what the order goes by and no page number:
 * what is added or deleted meanwhile moves nobody, and no engine has to count what it passes over.
 */
export const encodeCursor = (sort, listing) =>
  Buffer.from(JSON.stringify([sort, listing[SORT_KEYS[sort]], listing.id])).toString('base64url');

/** @returns {{value: string | number, id: string} | undefined} undefined for what is no cursor of this order */
export function decodeCursor(sort, text) {
  try {
    const [of, value, id] = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (of === sort && VALID[SORT_KEYS[sort]](value) && UUID.test(id)) return { value, id };
  } catch {
    // Not ours, then.
  }
  return undefined;
}
