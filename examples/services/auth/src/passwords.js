import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify(scrypt);
const BLOCK = 8;
const PARALLEL = 3;
const BYTES = 32;

const scryptOf = (password, salt, cost) =>
  // Twice what it needs: scrypt takes 128 · N · r bytes and a little.
  derive(password.normalize('NFKC'), salt, BYTES, { N: 2 ** cost, r: BLOCK, p: PARALLEL, maxmem: 256 * 2 ** cost * BLOCK });

/**
 * @param {number} cost log2 of scrypt's N. OWASP's password storage cheat sheet takes N=2^15 with r=8 and p=3 for as strong as
 *   N=2^17 with p=1, and it needs a quarter of the memory.
 */
export async function hashPassword(password, cost) {
  const salt = randomBytes(16);
  return ['scrypt', cost, salt.toString('base64url'), (await scryptOf(password, salt, cost)).toString('base64url')].join('$');
}

/** Takes as long for a wrong password as for the right one. */
export async function isPassword(password, hash) {
  const [, cost, salt, expected] = hash.split('$');
  const found = await scryptOf(password, Buffer.from(salt, 'base64url'), Number(cost));
  return timingSafeEqual(found, Buffer.from(expected, 'base64url'));
}
