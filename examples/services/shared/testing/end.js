import { after } from 'node:test';

const todo = [];

/** Does something after the tests of this file; what was begun last ends first. */
export const atEnd = (work) => {
  todo.push(work);
};

after(async () => {
  const failures = [];
  // All of it, also after a failure: what stays open would keep the process alive.
  for (const work of todo.reverse()) await Promise.try(work).catch((error) => failures.push(error));
  if (failures.length > 0) throw failures[0];
});
