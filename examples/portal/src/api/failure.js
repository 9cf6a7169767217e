const SENTENCES = {
  already_paid: 'This is paid already.',
  email_taken: 'There is an account with this e-mail address already. Log in instead.',
  expired: 'This could be paid until a while ago. Ask for a new quote.',
  invalid: 'Some details need another look.',
  login_ended: 'Your login has ended. Please log in again.',
  no_such_car: 'This car is not listed any more.',
  payment_declined: 'The payment was declined. You have not been charged; you can try another way to pay.',
  quote_expired: 'This price was good until a while ago. Ask for a new quote.',
  too_many_attempts: 'Too many wrong passwords. Please wait a while before you try again.',
  unauthorized: 'Your login has ended. Please log in again.',
  unreachable: 'We cannot reach the server. Check your connection and try again.',
  wrong_credentials: 'E-mail address or password is wrong.',
};
const SOMETHING = 'Something went wrong on our side. Please try again in a moment.';

const AWAY = {
  auth: 'The login service is away',
  cars: 'The car listing service is away',
  insurance: 'The insurance service is away',
  payment: 'The payment service is away',
  notification: 'The notification service is away',
};
const GATEWAY = [502, 503, 504];

/** Why something did not work, in words for a person; `fields` says of each wrong value of a form what is wrong with it. */
export class Failure extends Error {
  constructor(code, { status = 0, fields = {}, message = SENTENCES[code] ?? SOMETHING } = {}) {
    super(message);
    this.name = 'Failure';
    this.code = code;
    this.status = status;
    this.fields = fields;
  }
}

/**
 * What an answer that is not a good one means.
 *
 * @param {string} service that was asked
 * @param {number} status
 * @param {object} [problem] what it said (RFC 9457); nothing when a load balancer or CDN answered with a page of its own
 */
export function failureOf(service, status, problem) {
  const code = problem?.code ?? (GATEWAY.includes(status) ? `${service}_unavailable` : 'unknown');
  const { fields } = problem ?? {};
  const [, lost] = /^(\w+)_unavailable$/.exec(code) ?? [];
  if (!lost) return new Failure(code, { status, fields });
  // A service that misses another one says which; one that misses its database is away itself.
  const message = `${AWAY[lost] ?? AWAY[service]}. Everything that does not need it works; please try again in a moment.`;
  return new Failure(code, { status, message });
}
