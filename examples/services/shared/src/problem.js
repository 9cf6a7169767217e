/**
 * What a client is told when something is wrong (RFC 9457). `code` is for programs, `detail` a sentence for people; `fields`
 * says of each wrong field what is wrong.
 */
export class Problem extends Error {
  constructor(status, code, detail, { fields, headers = {}, cause } = {}) {
    super(detail, { cause });
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.fields = fields;
    this.headers = headers;
  }
}

export const notFound = () => new Problem(404, 'not_found', 'there is nothing at this address');

/** Something this request needs is away; only that, and not for long. */
export const unavailable = (what, cause) =>
  new Problem(503, `${what}_unavailable`, `${what} does not answer; try again shortly`, { headers: { 'Retry-After': '2' }, cause });
