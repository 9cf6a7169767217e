/** One JSON object a line, with the keys by which Lambda's own log levels work. Callers pass no bodies of messages. */
export function log(level, message, fields) {
  process.stdout.write(`${JSON.stringify({ timestamp: new Date().toISOString(), level, message, ...fields })}\n`);
}
