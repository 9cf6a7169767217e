import { atEnd, startService, testCommon, until } from '@vahana-example/shared/testing';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { SigningKeys } from '../src/keys.js';
import { service as auth } from '../src/service.js';

const pem = () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
const [first, second] = [pem(), pem()];
const service = await startService(auth, { TOKEN_KEYS: first + second, PASSWORD_COST: '10', TRUSTED_PROXIES: '1' });
const { call, database, sqs } = service;
atEnd(service.assertAllSeen);

const PASSWORD = 'correct horse battery';
const from = (address) => ({ 'X-Forwarded-For': `198.51.100.1, ${address}` });
const signUp = (email, more = {}) => call('POST', '/api/auth/users', { body: { email, password: PASSWORD, name: 'Asha', ...more } });
const logIn = (email, password = PASSWORD, address = '192.0.2.1') =>
  call('POST', '/api/auth/tokens', { body: { email, password }, headers: from(address) });
const refresh = (token) => call('POST', '/api/auth/tokens/refresh', { body: { refresh_token: token } });

testCommon(service);

test('who signs up is told of to others, once, and can log in', async () => {
  const { status, body: user } = await signUp('Asha@Example.com', { phone: '+919876543210' });
  assert.equal(status, 201);
  assert.equal(user.email, 'asha@example.com');
  const event = await until(() => sqs.events('notification').find(({ data }) => data.user_id === user.id));
  assert.equal(event.type, 'user.signed_up');
  assert.deepEqual(event.data, { user_id: user.id, email: 'asha@example.com', name: 'Asha', phone: '+919876543210' });
  await until(async () => (await database.query('SELECT FROM outbox')).length === 0);

  const again = await signUp('ASHA@example.com');
  assert.deepEqual([again.status, again.body.code], [409, 'email_taken']);

  const { body: tokens } = await logIn('asha@EXAMPLE.com');
  assert.deepEqual((await call('GET', '/api/auth/users/me', { token: tokens.access_token })).body, user);
  const [{ password }] = await database.query('SELECT password FROM users WHERE id = $1', [user.id]);
  assert.match(password, /^scrypt\$10\$/);
});

test('an account does not wait for the queue', async () => {
  sqs.away = true;
  const { body: user } = await signUp('patient@example.com');
  assert.ok(user.id);
  await until(async () => (await database.query('SELECT FROM outbox WHERE attempts > 0')).length === 1);
  sqs.away = false;
  // Another process would come to it later; here it is time now.
  await database.query('UPDATE outbox SET taken_until = now()');
  await signUp('impatient@example.com');
  await until(() => sqs.events('notification').some(({ data }) => data.user_id === user.id));
});

test('says of everything that is wrong what is', async () => {
  const { status, body } = await call('POST', '/api/auth/users', {
    body: { email: 'nobody', password: 'short', phone: '0123', admin: true },
  });
  assert.equal(status, 400);
  assert.deepEqual(Object.keys(body.fields).sort(), ['admin', 'email', 'name', 'password', 'phone']);
  assert.equal(body.fields.name, 'is required');
  const odd = await signUp('nul@example.com', { name: 'A\0' });
  assert.deepEqual(odd.body.fields, { name: 'has characters that are not text' });
  const json = { 'Content-Type': 'application/json' };
  assert.equal((await call('POST', '/api/auth/users', { raw: '{', headers: json })).body.code, 'invalid_json');
  assert.equal((await call('POST', '/api/auth/users', { raw: '{}' })).status, 415);
  assert.equal((await call('POST', '/api/auth/users', { raw: `"${'x'.repeat(70000)}"`, headers: json })).status, 413);
});

test('access tokens can be checked by anyone with the published keys', async () => {
  await signUp('checked@example.com');
  const { body } = await logIn('checked@example.com');
  const keys = createRemoteJWKSet(new URL(`${service.url}/api/auth/jwks.json`));
  const { payload } = await jwtVerify(body.access_token, keys, { issuer: 'auth', audience: 'vahana-services' });
  assert.deepEqual(payload.roles, []);
  assert.equal(payload.exp - payload.iat, body.expires_in);
  const { body: published } = await call('GET', '/api/auth/jwks.json');
  assert.equal(published.keys.length, 2);
  assert.equal(published.keys[0].kid, decodeProtectedHeader(body.access_token).kid);

  for (const token of ['x', `${body.access_token.slice(0, -4)}AAAA`]) {
    const { status, headers } = await call('GET', '/api/auth/users/me', { token });
    assert.deepEqual([status, headers.get('www-authenticate')], [401, 'Bearer']);
  }
  assert.equal((await call('GET', '/api/auth/users/me')).status, 401);
});

test('keys of another kind are refused at the start', async () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  await assert.rejects(SigningKeys.from(rsa), /must be of type ed25519, not rsa/);
  await assert.rejects(SigningKeys.from('secret'), (error) => /must be PEM/.test(error.message) && !error.message.includes('secret'));
});

test('a secret makes the same key in every task, another secret another', async () => {
  const [one, two] = ['1', '2'].map((digit) => digit.repeat(32));
  const [keys, again, both] = await Promise.all([one, one, `${two},${one}`].map((text) => SigningKeys.from(text)));
  assert.equal(keys.current.id, again.current.id);
  assert.notEqual(keys.current.id, both.current.id);
  assert.equal(both.published.keys[1].kid, keys.current.id);
  assert.equal(keys.current.key.asymmetricKeyType, 'ed25519');
  assert.ok(!JSON.stringify(both.published).includes('"d"'));
});

test('a refresh token is good for once; a second time ends the login', async () => {
  await signUp('fresh@example.com');
  const { body: one } = await logIn('fresh@example.com');
  const { status, body: two } = await refresh(one.refresh_token);
  assert.equal(status, 201);
  const stolen = await refresh(one.refresh_token);
  assert.deepEqual([stolen.status, stolen.body.code], [401, 'login_ended']);
  assert.equal((await refresh(two.refresh_token)).status, 401);
  // Another login of the same person goes on.
  const { body: other } = await logIn('fresh@example.com');
  assert.equal((await refresh(other.refresh_token)).status, 201);
  assert.equal((await refresh('never given')).status, 401);
});

test('who logs out needs a password again', async () => {
  await signUp('leaving@example.com');
  const { body } = await logIn('leaving@example.com');
  assert.equal((await call('POST', '/api/auth/tokens/revoke', { body: { refresh_token: body.refresh_token } })).status, 204);
  assert.equal((await refresh(body.refresh_token)).status, 401);
});

test('an expired refresh token is none', async () => {
  await signUp('late@example.com');
  const { body } = await logIn('late@example.com');
  await database.query('UPDATE refresh_tokens SET expires_at = now()');
  assert.equal((await refresh(body.refresh_token)).status, 401);
});

test('passwords cannot be guessed', async () => {
  await signUp('guessed@example.com');
  for (let attempt = 1; attempt <= 5; attempt += 1) assert.equal((await logIn('guessed@example.com', 'wrong')).status, 401);
  const limited = await logIn('guessed@example.com');
  assert.deepEqual([limited.status, limited.body.code], [429, 'too_many_attempts']);
  assert.ok(Number(limited.headers.get('retry-after')) > 800);
  // Their own address is no stranger's, even where that one says that it is.
  assert.equal((await logIn('guessed@example.com', PASSWORD, '192.0.2.2')).status, 201);
  assert.equal((await logIn('guessed@example.com', PASSWORD, '192.0.2.1')).status, 429);
  await database.query("UPDATE login_attempts SET ends_at = now() - interval '1 second'");
  assert.equal((await logIn('guessed@example.com')).status, 201);
});

test('all attempts at the same time are counted', async () => {
  await signUp('hurried@example.com');
  const answers = await Promise.all(Array.from({ length: 7 }, () => logIn('hurried@example.com', 'wrong', '192.0.2.3')));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [401, 401, 401, 401, 401, 429, 429]);
});

test('an unknown address is told nothing else', async () => {
  const { status, body } = await logIn('unknown@example.com');
  assert.deepEqual([status, body.code, body.detail], [401, 'wrong_credentials', 'address or password is wrong']);
});

test('an operator grants a role, which the next token has', async () => {
  await signUp('adjuster@example.com');
  const { body: before } = await logIn('adjuster@example.com');
  const script = fileURLToPath(new URL('../src/grant.js', import.meta.url));
  const env = { ...process.env, DATABASE_URL: service.settings.DATABASE_URL };
  const grant = (...words) => once(spawn(process.execPath, [script, ...words], { env, stdio: 'inherit' }), 'exit');
  assert.deepEqual(await grant('Adjuster@example.com', 'adjuster'), [0, null]);
  assert.deepEqual(await grant('adjuster@example.com', 'king'), [1, null]);
  const { body: after } = await refresh(before.refresh_token);
  assert.deepEqual((await call('GET', '/api/auth/users/me', { token: after.access_token })).body.roles, ['adjuster']);
});
