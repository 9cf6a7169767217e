import { createHmac, timingSafeEqual } from 'node:crypto';
import { Problem } from '@vahana-example/shared';

/** Seconds that a signature may be old or ahead: what somebody recorded cannot be played back later. */
const TOLERANCE = 300;

const digest = (secret, time, body) => createHmac('sha256', secret).update(`${time}.`).update(body).digest();

export function sign(secret, body, time = Math.floor(Date.now() / 1000)) {
  return `t=${time},v1=${digest(secret, time, body).toString('hex')}`;
}

/** @returns {object} what the body says @throws {Problem} 401 when it is not signed with one of the secrets, or not now */
export function parseSigned(secrets, body, signature) {
  const [, time, code] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
  const age = Math.abs(Date.now() / 1000 - Number(time));
  const isSigned = (secret) => timingSafeEqual(digest(secret, time, body), Buffer.from(code, 'hex'));
  if (!time || age > TOLERANCE || !secrets.some(isSigned)) {
    throw new Problem(401, 'bad_signature', 'this is not signed by the provider, or too long ago');
  }
  return JSON.parse(body);
}
