const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until `done` likes the answer, or often enough; gives the last answer. */
export async function poll(ask, done, { times = 30, everyMs = 1000 } = {}) {
  for (let turn = 1; ; turn += 1) {
    const answer = await ask();
    if (done(answer) || turn >= times) return answer;
    await pause(everyMs);
  }
}
