export class DatabaseUnavailableError extends Error {
  constructor(cause) {
    super('the database cannot be reached', { cause });
    this.name = 'DatabaseUnavailableError';
    this.code = cause?.code;
  }
}
