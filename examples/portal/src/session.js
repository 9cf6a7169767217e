const KEY = 'login';

/** Who is logged in, as long as the tab is open. */
export class Session {
  #storage;
  #listeners = new Set();
  #login;

  /** @param {Storage} storage a tab's own, so that closing it ends what a shared computer knows */
  constructor(storage) {
    this.#storage = storage;
    this.#login = JSON.parse(storage.getItem(KEY)) ?? undefined;
  }

  /**
   * The same object until it changes.
   *
   * @returns {{accessToken: string, refreshToken: string, user: {id: string, name: string}} | undefined}
   */
  get login() {
    return this.#login;
  }

  /** @param {{access_token: string, refresh_token: string}} tokens as auth gives them */
  begin({ access_token: accessToken, refresh_token: refreshToken }, user) {
    this.#login = { accessToken, refreshToken, user };
    this.#storage.setItem(KEY, JSON.stringify(this.#login));
    this.#tell();
  }

  end() {
    this.#login = undefined;
    this.#storage.removeItem(KEY);
    this.#tell();
  }

  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #tell() {
    for (const listener of this.#listeners) listener();
  }
}
