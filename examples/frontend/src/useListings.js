import { useEffect, useRef, useState } from 'react';
import { searchListings } from './api.js';

const TYPING_PAUSE_MS = 250;

/**
 * Listings of a search, asked for again whenever it (or `revision`) changes; `more` adds the next page to them.
 * Results of the search before stay on the screen until the new ones arrive.
 */
export function useListings(filter, revision) {
  const [state, setState] = useState({ status: 'loading', result: undefined, error: undefined });
  const controller = useRef(undefined);
  const key = JSON.stringify(filter);

  async function find(signal, before) {
    try {
      const page = await searchListings(JSON.parse(key), signal, before?.next);
      if (signal.aborted) return;
      const items = before ? [...before.items, ...page.items] : page.items;
      setState({ status: 'done', result: { items, next: page.next }, error: undefined });
    } catch (error) {
      if (!signal.aborted) setState({ status: 'failed', result: undefined, error });
    }
  }

  const loading = () => setState((before) => ({ ...before, status: 'loading' }));

  useEffect(() => {
    const current = new AbortController();
    controller.current = current;
    loading();
    const timer = setTimeout(() => find(current.signal), TYPING_PAUSE_MS);
    return () => {
      clearTimeout(timer);
      current.abort();
    };
  }, [key, revision]);

  function more() {
    loading();
    find(controller.current.signal, state.result);
  }

  return { ...state, more };
}
