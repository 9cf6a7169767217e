/** 1234500 paise are ₹12,345, and 1234550 are ₹12,345.50. */
const rupees = (paise) => `₹${(paise / 100).toLocaleString('en-IN', { minimumFractionDigits: paise % 100 ? 2 : 0, maximumFractionDigits: 2 })}`;
const date = (time) => time.slice(0, 10);

const CLAIM = {
  submitted: 'has arrived',
  in_review: 'is being looked at',
  approved: 'is approved',
  rejected: 'is rejected',
  withdrawn: 'is withdrawn',
};

/**
 * What people are told of an event: a subject, a text, and by which channels besides e-mail. A push message is the subject and the text's
 * first sentence, an SMS the first sentence.
 */
export const TEMPLATES = {
  'user.signed_up': () => ({ subject: 'Welcome', text: 'Your account is made. List a car, or find one.' }),
  'car.listed': ({ make, model, year, city, price }) => ({
    subject: `Your ${make} ${model} is listed`,
    text: `Your ${make} ${model} of ${year} is listed in ${city} for ${rupees(price * 100)}.`,
    channels: ['push'],
  }),
  'payment.succeeded': ({ amount, description, intent_id: id }) => ({
    subject: 'Payment received',
    text: `We have received ${rupees(amount)} for: ${description}. The payment's number is ${id}.`,
    channels: ['sms', 'push'],
  }),
  'payment.failed': ({ amount, description, reason }) => ({
    subject: 'Payment declined',
    text: `The payment of ${rupees(amount)} for ${description} was declined (${reason}). You have not been charged; you can try another way to pay.`,
    channels: ['push'],
  }),
  'payment.refunded': ({ amount, description }) => ({
    subject: 'Money on its way back',
    text: `We have paid back ${rupees(amount)} of what you paid for: ${description}.`,
  }),
  'payment.refund_failed': ({ amount, description }) => ({
    subject: 'We could not pay you back yet',
    text: `Paying back ${rupees(amount)} for ${description} did not work. We will call you.`,
    channels: ['sms'],
  }),
  'policy.issued': ({ make, model, ends_at: endsAt, policy_id: id }) => ({
    subject: `Your ${make} ${model} is insured`,
    text: `Your ${make} ${model} is insured until ${date(endsAt)}. The policy's number is ${id}.`,
    channels: ['sms', 'push'],
  }),
  'policy.cancelled': ({ make, model, refund }) => ({
    subject: 'Your policy is cancelled',
    text: `The insurance of your ${make} ${model} has ended. ${refund > 0 ? `You get ${rupees(refund)} back.` : 'Nothing is left to be paid back.'}`,
    channels: ['push'],
  }),
  'claim.updated': ({ status, claim_id: id, note }) => ({
    subject: `Your claim ${CLAIM[status]}`,
    text: `Your claim ${CLAIM[status]}. Its number is ${id}.${note ? ` ${note}` : ''}`,
    channels: ['push'],
  }),
};

const firstSentence = (text) => /^.*?\.(?=\s|$)/s.exec(text)?.[0] ?? text;

/** @returns {{channel: string, recipient: string, subject: string | null, text: string}[]} what is sent, and where to */
export function messagesOf(type, data, contact, devices) {
  const { subject, text, channels = [] } = TEMPLATES[type](data);
  const messages = [{ channel: 'email', recipient: contact.email, subject, text: `Dear ${contact.name},\n\n${text}\n` }];
  if (channels.includes('sms') && contact.phone) {
    messages.push({ channel: 'sms', recipient: contact.phone, subject: null, text: firstSentence(text) });
  }
  if (channels.includes('push')) {
    messages.push(...devices.map(({ token }) => ({ channel: 'push', recipient: token, subject, text: firstSentence(text) })));
  }
  return messages;
}
