import { Failure, failureOf } from './failure.js';

const serviceOf = (path) => path.split('/')[2];

/** Asks the services; for whoever is logged in, with a token that it renews when it is no longer good. */
export class Client {
  #session;
  #renewal;

  /** @param {import('../session.js').Session} session */
  constructor(session) {
    this.#session = session;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{query?: object, body?: object, headers?: object, signal?: AbortSignal, token?: string}} options
   * @throws {Failure}
   */
  async call(method, path, { query, body, headers, signal, token } = {}) {
    const search = new URLSearchParams(Object.entries(query ?? {}).filter(([, value]) => value));
    let response;
    try {
      response = await fetch(search.size > 0 ? `${path}?${search}` : path, {
        method,
        signal,
        headers: { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { 'Content-Type': 'application/json' }), ...headers },
        body: body && JSON.stringify(body),
      });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Failure('unreachable');
    }
    if (response.status === 204) return undefined;
    const answer = await response.json().catch(() => undefined);
    if (response.ok && answer !== undefined) return answer;
    // A page instead of an answer: what leads to the service is not there.
    throw failureOf(serviceOf(path), response.ok ? 502 : response.status, answer);
  }

  /** The same, as who is logged in. */
  async callAsUser(method, path, options) {
    const login = this.#session.login;
    if (!login) throw new Failure('unauthorized', { status: 401 });
    try {
      return await this.call(method, path, { ...options, token: login.accessToken });
    } catch (error) {
      // Services look at the token first: what was refused has done nothing and may be sent again.
      if (error.status !== 401) throw error;
    }
    const token = await this.#renewed(login);
    return this.call(method, path, { ...options, token });
  }

  async #renewed(login) {
    // A refresh token is good for once, and a second use ends the login: all that wait, wait for the same renewal.
    if (this.#session.login === login) this.#renewal ??= this.#renew(login).finally(() => (this.#renewal = undefined));
    await this.#renewal;
    if (!this.#session.login) throw new Failure('login_ended', { status: 401 });
    return this.#session.login.accessToken;
  }

  async #renew(login) {
    try {
      const tokens = await this.call('POST', '/api/auth/tokens/refresh', { body: { refresh_token: login.refreshToken } });
      if (this.#session.login === login) this.#session.begin(tokens, login.user);
    } catch (error) {
      if (error.status === 401 && this.#session.login === login) this.#session.end();
      throw error;
    }
  }
}
