import { useEffect, useState } from 'react';
import { searchListings } from './api.js';

const TYPING_PAUSE_MS = 250;

/**
 * Listings of a search, asked for again whenever it (or `revision`) changes.
 * Results of the search before stay on the screen until the new ones arrive.
 */
export function useListings(filter, revision) {
  const [state, setState] = useState({ status: 'loading', result: undefined, error: undefined });
  const key = JSON.stringify(filter);

  useEffect(() => {
    const controller = new AbortController();
    setState((before) => ({ ...before, status: 'loading' }));
    const timer = setTimeout(async () => {
      try {
        const result = await searchListings(JSON.parse(key), controller.signal);
        setState({ status: 'done', result, error: undefined });
      } catch (error) {
        if (!controller.signal.aborted) setState({ status: 'failed', result: undefined, error });
      }
    }, TYPING_PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key, revision]);

  return state;
}
