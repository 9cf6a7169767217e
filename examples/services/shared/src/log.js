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

/**
 * What may be told about an error, and about what is at the bottom of it: fetch says only that it failed. Drivers put connection strings into
 * other properties, never into these.
 */
export function describeError(error) {
  let root = error;
  while (root.cause instanceof Error) root = root.cause;
  // A refused connection to a name with several addresses is an AggregateError without a message of its own.
  const messageOf = (each) => each.message || each.errors?.map((inner) => inner.message).join('; ') || String(each);
  return {
    error: messageOf(error),
    ...(root !== error && { cause: messageOf(root) }),
    code: root.code,
    stack: root.stack?.split('\n').slice(1, 6).map((line) => line.trim()),
  };
}

export const log = {
  info: (message, fields = {}) => write('info', message, fields),
  warn: (message, fields = {}) => write('warn', message, fields),
  error: (message, fields = {}) => write('error', message, fields),
};
