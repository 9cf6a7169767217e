import { useEffect, useRef, useSyncExternalStore } from 'react';

function subscribe(listener) {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}

/** The view that the page's address names after its #. Whoever goes to another one is taken to `main`, as a link to another page would. */
export function useView(views, main) {
  const hash = useSyncExternalStore(subscribe, () => window.location.hash.slice(1));
  const view = views.includes(hash) ? hash : views[0];
  const shown = useRef(view);
  useEffect(() => {
    if (view === shown.current) return;
    shown.current = view;
    main.current.focus();
    window.scrollTo({ top: 0 });
  }, [view]);
  return view;
}
