import { atEnd, serve, startService, testCommon, until } from '@vahana-example/shared/testing';
import { Settings } from '@vahana-example/shared';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { AwsSenders } from '../src/senders/aws.js';
import { SENDERS } from '../src/senders/index.js';
import { service as notification } from '../src/service.js';
import { TEMPLATES } from '../src/templates.js';

/** Senders that fail as they are told, and keep what they send. */
const outside = { sent: [], failing: () => undefined };
SENDERS.log = class {
  constructor() {
    for (const channel of ['email', 'sms', 'push']) {
      this[channel] = async (message) => {
        const error = outside.failing(message);
        if (error) throw error;
        outside.sent.push({ channel, ...message });
      };
    }
  }
};
const service = await startService(notification);
const { call, database, sqs, issuer } = service;
atEnd(service.assertAllSeen);

const event = (type, data) => ({ id: randomUUID(), type, time: new Date().toISOString(), data });
const tell = (...args) => {
  const made = event(...args);
  sqs.put('notification', made);
  return made;
};
const sentTo = (recipient) => outside.sent.filter((message) => message.recipient === recipient);
function person(more = {}) {
  const id = randomUUID();
  const data = { user_id: id, email: `${id}@example.com`, name: 'Asha', phone: `+91${id.replace(/\D/g, '').padEnd(10, '1').slice(0, 10)}`, ...more };
  return { ...data, token: issuer.token({ id }) };
}
const { token: _, ...data } = person();
const PAID = { intent_id: randomUUID(), amount: 1234550, description: 'Insurance of a Tata Nexon EV', reference: 'x', currency: 'INR', reason: null };

testCommon(service);

test('who signs up is welcomed once, however often that is told', async () => {
  const welcome = event('user.signed_up', data);
  for (let copy = 0; copy < 3; copy += 1) sqs.put('notification', welcome);
  await until(() => sqs.waiting('notification') === 0 && sentTo(data.email).length > 0);
  const [message, ...more] = sentTo(data.email);
  assert.deepEqual(more, []);
  assert.deepEqual([message.channel, message.subject], ['email', 'Welcome']);
  assert.match(message.text, /^Dear Asha,\n\nYour account is made\./);
});

test('each channel has its own, where there is an address for it', async () => {
  const { token, ...asha } = person();
  const { token: tokenOfRavi, ...ravi } = person({ phone: null });
  for (const each of [asha, ravi]) tell('user.signed_up', each);
  const device = (await call('POST', '/api/notification/devices', { token, body: { token: `phone-${asha.user_id}` } })).body;
  await until(() => sentTo(asha.email).length + sentTo(ravi.email).length === 2);
  for (const each of [asha, ravi]) tell('payment.succeeded', { ...PAID, user_id: each.user_id });
  await until(() => sqs.waiting('notification') === 0 && sentTo(asha.phone).length > 0 && sentTo(ravi.email).length > 1);
  assert.equal(sentTo(asha.phone)[0].text, 'We have received ₹12,345.50 for: Insurance of a Tata Nexon EV.');
  await until(() => sentTo(`phone-${asha.user_id}`).length === 1);
  assert.equal(sentTo(`phone-${asha.user_id}`)[0].subject, 'Payment received');

  const { body } = await until(async () => {
    const answer = await call('GET', '/api/notification/notifications', { token });
    return answer.body.items.every(({ status }) => status === 'sent') && answer;
  });
  assert.deepEqual(body.items.map(({ channel }) => channel).sort(), ['email', 'email', 'push', 'sms']);
  assert.equal(body.items.at(-1).event, 'user.signed_up');
  // One's own only.
  const others = await call('GET', '/api/notification/notifications', { token: tokenOfRavi });
  assert.deepEqual(others.body.items.map(({ channel }) => channel), ['email', 'email']);

  assert.equal((await call('DELETE', `/api/notification/devices/${device.id}`, { token: tokenOfRavi })).status, 404);
  assert.equal((await call('DELETE', `/api/notification/devices/${device.id}`, { token })).status, 204);
  assert.deepEqual((await call('GET', '/api/notification/devices', { token })).body, { items: [] });
});

test('a phone that changes hands shows nothing of who had it before', async () => {
  const [one, other] = [person(), person()];
  const body = { token: 'a phone with two lives' };
  await call('POST', '/api/notification/devices', { token: one.token, body });
  await call('POST', '/api/notification/devices', { token: other.token, body });
  assert.deepEqual((await call('GET', '/api/notification/devices', { token: one.token })).body.items, []);
});

test('what somebody did before it is known who they are waits for that', async () => {
  const { token, ...late } = person();
  tell('car.listed', { user_id: late.user_id, make: 'Tata', model: 'Tiago', year: 2024, price: 900000, city: 'Pune' });
  await until(async () => sqs.waiting('notification') === 1);
  tell('user.signed_up', late);
  await until(() => sentTo(late.email).length === 2);
  assert.match(sentTo(late.email).find(({ subject }) => /is listed/.test(subject)).text, /for ₹9,00,000\./);
  await until(() => sqs.waiting('notification') === 0);
});

test('a message that fails is sent later; one that is refused never', async () => {
  const [patient, wrong] = [person(), person()];
  let failures = 2;
  outside.failing = ({ recipient }) => {
    if (recipient === wrong.email) return Object.assign(new Error('no such address'), { name: 'RefusedError' });
    return recipient === patient.email && failures-- > 0 ? new Error('busy') : undefined;
  };
  for (const { token, ...each } of [patient, wrong]) tell('user.signed_up', each);
  const stateOf = async ({ user_id: id }) => (await database.query('SELECT status, attempts, error FROM notifications WHERE user_id = $1', [id]))[0];
  await until(async () => (await stateOf(wrong))?.status === 'failed');
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    await until(async () => (await stateOf(patient))?.attempts === attempt && (await stateOf(patient)).error === 'busy');
    assert.equal((await stateOf(patient)).status, 'waiting');
    // The time until the next attempt is over.
    await database.query('UPDATE notifications SET taken_until = now() WHERE user_id = $1', [patient.user_id]);
  }
  await until(async () => (await stateOf(patient)).status === 'sent');
  assert.deepEqual(await stateOf(wrong), { status: 'failed', attempts: 1, error: 'no such address' });
  outside.failing = () => undefined;
});

test('of every event something readable is told', () => {
  const all = { make: 'Tata', model: 'Tiago', year: 2024, price: 1, city: 'Pune', refund: 0, policy_id: 'p', claim_id: 'c', ends_at: '2027-01-01T00:00:00Z' };
  for (const [type, template] of Object.entries(TEMPLATES)) {
    for (const status of type === 'claim.updated' ? ['submitted', 'in_review', 'approved', 'rejected', 'withdrawn'] : ['']) {
      const { subject, text } = template({ ...PAID, ...all, status, reason: 'stolen_card', note: null });
      assert.doesNotMatch(`${subject} ${text}`, /undefined|null|NaN/);
    }
  }
});

test('SES and SNS get what they are to send, and their refusals are told from their bad days', async () => {
  const asked = [];
  let answer;
  const url = await serve(async (request, response) => {
    const text = Buffer.concat(await request.toArray()).toString();
    const json = request.headers['content-type'].startsWith('application/json');
    const fields = json ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text));
    asked.push(fields);
    if (answer) return response.writeHead(answer.status, answer.headers).end(answer.body);
    if (json) return response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"MessageId": "m"}');
    const result = fields.Action === 'Publish' ? '<MessageId>m</MessageId>' : '<EndpointArn>arn:aws:sns:us-east-1:1:endpoint/x</EndpointArn>';
    return response.writeHead(200, { 'Content-Type': 'text/xml' }).end(`<R><${fields.Action}Result>${result}</${fields.Action}Result></R>`);
  });
  const before = process.env.AWS_ENDPOINT_URL;
  process.env.AWS_ENDPOINT_URL = url;
  const env = { EMAIL_FROM: 'cars@example.com', PUSH_APPLICATION_ARN: 'arn:aws:sns:us-east-1:1:app/GCM/cars' };
  const senders = new AwsSenders(new Settings(env));
  const message = { id: 'n', recipient: 'asha@example.com', subject: 'Grüße', text: 'Text.' };
  await senders.email(message);
  assert.deepEqual([asked[0].FromEmailAddress, asked[0].Destination.ToAddresses], ['cars@example.com', ['asha@example.com']]);
  assert.deepEqual(asked[0].Content.Simple.Subject, { Data: 'Grüße', Charset: 'UTF-8' });
  await senders.sms({ ...message, recipient: '+919876543210' });
  assert.deepEqual([asked[1].Action, asked[1].PhoneNumber, asked[1].Message], ['Publish', '+919876543210', 'Text.']);
  await senders.push({ ...message, recipient: 'phone-1' });
  assert.deepEqual([asked[2].Action, asked[2].Token, asked[3].TargetArn], ['CreatePlatformEndpoint', 'phone-1', 'arn:aws:sns:us-east-1:1:endpoint/x']);
  assert.equal(JSON.parse(JSON.parse(asked[3].Message).GCM).notification.title, 'Grüße');

  answer = { status: 400, headers: { 'x-amzn-errortype': 'MessageRejected', 'Content-Type': 'application/json' }, body: '{"message": "not verified"}' };
  await assert.rejects(senders.email(message), { name: 'RefusedError', message: 'MessageRejected: not verified' });
  answer = { status: 400, headers: { 'x-amzn-errortype': 'AccountSuspendedException', 'Content-Type': 'application/json' }, body: '{}' };
  await assert.rejects(senders.email(message), { name: 'AccountSuspendedException' });
  await assert.rejects(new AwsSenders(new Settings({ EMAIL_FROM: 'x' })).push(message), { name: 'RefusedError' });
  process.env.AWS_ENDPOINT_URL = before;
});
