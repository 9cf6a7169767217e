/** The message will not be taken, however often it is sent. */
export class RefusedError extends Error {
  name = 'RefusedError';
}
