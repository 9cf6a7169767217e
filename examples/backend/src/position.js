/**
 * Positions: how far the database's log was when something had been written. A server whose log is as far has it.
 *
 * A position is 16 hexadecimal digits, so that they compare as text; '' is before everything. Of PostgreSQL it is the LSN.
 */
const POSITION = /^[0-9a-f]{16}$/;
const COOKIE = 'written';
// Longer than any replica that serves is behind.
const COOKIE_SECONDS = 600;

/** @param {string} lsn as PostgreSQL writes it: two numbers of up to 8 hexadecimal digits, as 16/B374D848 */
export const fromLsn = (lsn) => lsn.split('/').map((half) => half.toLowerCase().padStart(8, '0')).join('');

export const toLsn = (position) => `${position.slice(0, 8)}/${position.slice(8)}`;

export const isPosition = (text) => POSITION.test(text ?? '');

export const latest = (...positions) => positions.reduce((one, other) => (other > one ? other : one), '');

/** What a client that has written brings along; '' for any other. */
export function positionOf(headers) {
  for (const pair of (headers.cookie ?? '').split(/;\s*/)) {
    const [name, value] = pair.split('=');
    if (name === COOKIE && isPosition(value)) return value;
  }
  return '';
}

/** The header that lets a client see what it has written, whichever host and server it reads from. */
export const rememberPosition = (position) => ({
  'Set-Cookie': `${COOKIE}=${position}; Path=/api; Max-Age=${COOKIE_SECONDS}; HttpOnly; SameSite=Lax`,
});
