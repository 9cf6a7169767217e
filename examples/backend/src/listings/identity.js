import { createHash, randomUUID } from 'node:crypto';

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,200}$/;

export const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

export const isIdempotencyKey = (text) => IDEMPOTENCY_KEY.test(text);

/**
 * The id of a listing to be created. With an Idempotency-Key it follows from the key, so that whoever sends the same request again,
 * because no answer came, meets the listing that the first one made: a version 8 UUID (RFC 9562, 5.8) of the key's SHA-256.
 *
 * @param {string | undefined} key
 */
export function newId(key) {
  if (key === undefined) return randomUUID();
  const bytes = createHash('sha256').update(key).digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x80;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
