import { SESv2 } from '@aws-sdk/client-sesv2';
import { SNS } from '@aws-sdk/client-sns';
import { RefusedError } from './refused.js';

/** What the client of AWS calls an error that is ours: the address, the sender, the text. */
const REFUSED = new Set([
  'BadRequestException',
  'EndpointDisabledException',
  'InvalidParameterException',
  'MessageRejected',
  'NotFoundException',
  'OptedOutException',
]);

/** E-mail by SES, SMS and push by SNS. */
export class AwsSenders {
  #ses = new SESv2();
  #sns = new SNS();
  #from;
  #application;

  constructor(settings) {
    this.#from = settings.text('EMAIL_FROM');
    this.#application = settings.text('PUSH_APPLICATION_ARN', '');
  }

  async email({ recipient, subject, text }) {
    const part = (Data) => ({ Data, Charset: 'UTF-8' });
    const Content = { Simple: { Subject: part(subject), Body: { Text: part(text) } } };
    await this.#send(() => this.#ses.sendEmail({ FromEmailAddress: this.#from, Destination: { ToAddresses: [recipient] }, Content }));
  }

  async sms({ recipient, text }) {
    const MessageAttributes = { 'AWS.SNS.SMS.SMSType': { DataType: 'String', StringValue: 'Transactional' } };
    await this.#send(() => this.#sns.publish({ PhoneNumber: recipient, Message: text, MessageAttributes }));
  }

  async push({ recipient, subject, text }) {
    if (this.#application === '') throw new RefusedError('PUSH_APPLICATION_ARN is not set');
    await this.#send(async () => {
      // Gives the endpoint that is there if there is one for this phone.
      const { EndpointArn } = await this.#sns.createPlatformEndpoint({ PlatformApplicationArn: this.#application, Token: recipient });
      const Message = JSON.stringify({ default: text, GCM: JSON.stringify({ notification: { title: subject, body: text } }) });
      await this.#sns.publish({ TargetArn: EndpointArn, MessageStructure: 'json', Message });
    });
  }

  async #send(work) {
    try {
      await work();
    } catch (error) {
      if (REFUSED.has(error.name)) throw new RefusedError(`${error.name}: ${error.message}`, { cause: error });
      throw error;
    }
  }
}
