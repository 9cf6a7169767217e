import { AwsSenders } from './aws.js';
import { LogSenders } from './log.js';

/**
 * How messages leave. Senders have email(message), sms(message) and push(message), each a Promise that resolves when the message is on
 * its way; a message is {id, recipient, subject, text}. RefusedError says that trying again is of no use.
 */
export const SENDERS = { aws: AwsSenders, log: LogSenders };
