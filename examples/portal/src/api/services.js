/** What the page asks of each service; their contracts are examples/services/<service>/openapi.yaml. */
export function servicesOf(client, session) {
  const auth = {
    async logIn({ email, password }) {
      const tokens = await client.call('POST', '/api/auth/tokens', { body: { email, password } });
      const { id, name } = await client.call('GET', '/api/auth/users/me', { token: tokens.access_token });
      session.begin(tokens, { id, name });
    },
    async signUp({ phone, ...account }) {
      await client.call('POST', '/api/auth/users', { body: { ...account, ...(phone && { phone }) } });
      await auth.logIn(account);
    },
    async logOut() {
      const { refreshToken } = session.login;
      session.end();
      await client.call('POST', '/api/auth/tokens/revoke', { body: { refresh_token: refreshToken } });
    },
  };
  return {
    auth,
    cars: {
      search: (query, page, signal) => client.call('GET', '/api/cars', { query: { ...query, page }, signal }),
      list: (car) => client.callAsUser('POST', '/api/cars', { body: car }),
    },
    insurance: {
      quote: (wish) => client.callAsUser('POST', '/api/insurance/quotes', { body: wish }),
      accept: (quote) => client.callAsUser('POST', `/api/insurance/quotes/${quote.id}/acceptance`),
      policies: async (signal) => (await client.callAsUser('GET', '/api/insurance/policies', { signal })).items,
    },
    payment: {
      /** @param {string} key names the payment: sent again with it, it is still one */
      confirm: (due, method, key) =>
        client.callAsUser('POST', due.confirm_at, { body: { payment_method: method }, headers: { 'Idempotency-Key': key } }),
      intent: (id) => client.callAsUser('GET', `/api/payment/intents/${id}`),
    },
    notification: {
      list: (page, signal) => client.callAsUser('GET', '/api/notification/notifications', { query: { page }, signal }),
    },
  };
}
