import { readFileSync } from 'node:fs';

/**
 * Settings of one process, read from its environment. Every fault is an Error that names the variable and what it must be.
 *
 * A secret may be in a variable or in a file whose path is in the variable with _FILE behind its name. Neither is ever repeated.
 */
export class Settings {
  #env;

  /** @param {Record<string, string | undefined>} env usually process.env */
  constructor(env = process.env) {
    this.#env = env;
  }

  text(name, fallback) {
    const value = this.#env[name] || fallback;
    if (value === undefined) throw new Error(`${name} is not set`);
    return value;
  }

  integer(name, fallback, minimum, maximum) {
    const text = this.#env[name] ?? '';
    if (text === '') return fallback;
    const value = Number(text);
    if (!Number.isInteger(value) || value < minimum || value > maximum) {
      throw new Error(`${name} must be a whole number from ${minimum} to ${maximum}, not '${text}'`);
    }
    return value;
  }

  choice(name, fallback, choices) {
    const value = this.text(name, fallback);
    if (!choices.includes(value)) throw new Error(`${name} must be one of ${choices.join(', ')}, not '${value}'`);
    return value;
  }

  url(name) {
    const value = this.text(name);
    if (!/^https?:\/\//.test(value) || !URL.canParse(value)) throw new Error(`${name} must be an http: or https: URL, not '${value}'`);
    return value.replace(/\/+$/, '');
  }

  secret(name) {
    const file = this.#env[`${name}_FILE`];
    const value = file ? readFileSync(file, 'utf8').trim() : this.#env[name];
    if (!value) throw new Error(`${name} is not set: give it, or in ${name}_FILE the path of a file that holds it`);
    return value;
  }

  /** A secret of which there may be several while it is being changed: the first is used, all are accepted. */
  secrets(name) {
    const values = this.secret(name).split(/[\s,]+/).filter(Boolean);
    if (values.some((value) => value.length < 32)) throw new Error(`${name} must have at least 32 characters`);
    return values;
  }
}
