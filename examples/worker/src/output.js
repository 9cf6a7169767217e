import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';

// Made once for all invocations of this process: connections are kept open between them.
const s3 = new S3Client({});

/**
 * Writes an object of the output unless there is one under this key.
 *
 * @param {string} key below OUTPUT_PREFIX in OUTPUT_BUCKET
 * @param {object} value
 * @returns {Promise<boolean>} false when it was there already
 */
export async function keepOnce(key, value) {
  try {
    await s3.send(
      new PutObjectCommand({
        Bucket: process.env.OUTPUT_BUCKET,
        Key: `${process.env.OUTPUT_PREFIX ?? 'worker'}/${key}`,
        Body: `${JSON.stringify(value)}\n`,
        ContentType: 'application/json',
        IfNoneMatch: '*',
      }),
    );
    return true;
  } catch (error) {
    // Not so a 409: another write of the same key is under way and may fail, so the message comes again and finds out.
    if (error.$metadata?.httpStatusCode === 412) return false;
    throw error;
  }
}
