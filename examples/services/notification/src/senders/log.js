import { log } from '@vahana-example/shared';

/** Sends nothing: that a message would have been sent is in the log, the message itself in the table. */
export class LogSenders {
  async email({ id }) {
    log.info('not sent, only noted', { channel: 'email', notification_id: id });
  }

  async sms({ id }) {
    log.info('not sent, only noted', { channel: 'sms', notification_id: id });
  }

  async push({ id }) {
    log.info('not sent, only noted', { channel: 'push', notification_id: id });
  }
}
