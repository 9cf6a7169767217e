import { Failed } from './Failed.jsx';
import { Notice } from './Notice.jsx';

/** What usePages holds: the list, that there is nothing (`empty`), or why not. */
export function Pages({ state, className, label, more, empty, children }) {
  const { status, result, error } = state;
  const loading = status === 'loading';
  if (!result && status === 'failed') {
    return <Notice role="alert" title="That did not work" text={error.message} action="Try again" onAction={state.again} />;
  }
  if (!result) return <p className="notice">Loading…</p>;
  if (result.items.length === 0) return empty;
  return (
    <>
      <ul className={className} aria-label={label} aria-busy={loading}>
        {result.items.map(children)}
      </ul>
      {status === 'failed' && <Failed message={error.message} />}
      {result.more && (
        <div className="more">
          <button type="button" className="plain" disabled={loading} onClick={state.more}>
            {more}
          </button>
        </div>
      )}
    </>
  );
}
