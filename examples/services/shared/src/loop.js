import { describeError, log } from './log.js';

/**
 * Work that is done again and again: whenever someone says that there is some, and every `everyMs` for what nobody said or what failed.
 * It never runs twice at once in this process.
 */
export class Loop {
  #name;
  #work;
  #everyMs;
  #timer;
  #running;
  #again = false;
  #stopped = true;

  /** @param {() => Promise<unknown>} work whose failure is logged and tried again with the next round */
  constructor(name, work, everyMs) {
    this.#name = name;
    this.#work = work;
    this.#everyMs = everyMs;
  }

  start() {
    this.#stopped = false;
    this.#timer = setInterval(() => this.kick(), this.#everyMs).unref();
    this.kick();
  }

  /** There is something to do. */
  kick() {
    if (this.#stopped) return;
    this.#again = true;
    this.#running ??= this.#run();
  }

  async #run() {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        await this.#work();
      } catch (error) {
        log.warn(`${this.#name}: failed, tried again`, describeError(error));
      }
    }
    // In the same breath as the last look: a kick after it begins anew.
    this.#running = undefined;
  }

  /** Ends with the round that is under way. */
  async stop() {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }
}
