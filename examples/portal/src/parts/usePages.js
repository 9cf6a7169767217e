import { useEffect, useRef, useState } from 'react';

/**
 * What pages of a list hold, asked for again whenever `key` changes or `again` is called; `more` adds the next page.
 * What was there before stays on the screen until the new arrives.
 *
 * @param {(page: number, signal: AbortSignal) => Promise<{items: {id: string}[], page: number, page_size: number, total: number}>} read
 * @param {string} [key] what `read` depends on
 * @param {number} [pauseMs] to wait before asking, for keys that are typed
 */
export function usePages(read, key = '', pauseMs = 0) {
  const [state, setState] = useState({ status: 'loading' });
  const [revision, setRevision] = useState(0);
  const controller = useRef(undefined);

  async function find(signal, before) {
    setState((shown) => ({ ...shown, status: 'loading' }));
    try {
      const { items, page, page_size: size, total } = await read((before?.page ?? 0) + 1, signal);
      if (signal.aborted) return;
      // What was added meanwhile has moved the last of one page to the next.
      const known = new Set(before?.items.map(({ id }) => id));
      const all = [...(before?.items ?? []), ...items.filter(({ id }) => !known.has(id))];
      setState({ status: 'done', result: { items: all, page, total, more: page * size < total } });
    } catch (error) {
      if (!signal.aborted) setState({ status: 'failed', result: before, error });
    }
  }

  useEffect(() => {
    const current = new AbortController();
    controller.current = current;
    const timer = setTimeout(() => find(current.signal), pauseMs);
    return () => {
      clearTimeout(timer);
      current.abort();
    };
  }, [key, revision]);

  return { ...state, again: () => setRevision(revision + 1), more: () => find(controller.current.signal, state.result) };
}
