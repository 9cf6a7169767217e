const LEVELS = ['info', 'warn', 'error', 'none'];
// An unknown LOG_LEVEL logs everything: too much is the better mistake.
const lowest = LEVELS.indexOf(process.env.LOG_LEVEL);
let service;

/** Names the service in every line of this process. */
export const nameLogs = (name) => {
  service = name;
};

/**
 * One JSON object a line on stdout: CloudWatch takes it as it is. LOG_LEVEL (info, warn, error, none) leaves out what is below it.
 * Callers pass only fields that may be read by anyone with access to the logs: no bodies, headers or URLs with queries.
 */
function write(level, message, fields) {
  if (LEVELS.indexOf(level) < lowest) return;
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, service, ...fields })}\n`);
}

/** What may be told about an error: drivers put connection strings into other properties, never into these. */
export function describeError(error) {
  // A refused connection to a name with several addresses is an AggregateError without a message of its own.
  const message = error.message || error.errors?.map((each) => each.message).join('; ') || String(error);
  return { error: message, code: error.code, stack: error.stack?.split('\n').slice(1, 6).map((line) => line.trim()) };
}

export const log = {
  info: (message, fields = {}) => write('info', message, fields),
  warn: (message, fields = {}) => write('warn', message, fields),
  error: (message, fields = {}) => write('error', message, fields),
};
