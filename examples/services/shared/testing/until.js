import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for what comes by itself, through a queue or a loop. @returns the first true answer */
export async function until(condition) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    assert.ok(Date.now() < deadline, `it did not come: ${condition}`);
    await sleep(25);
  }
}
