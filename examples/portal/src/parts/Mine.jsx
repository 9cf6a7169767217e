import { Pages } from './Pages.jsx';

/** A view of what belongs to who is logged in. Much of it comes by events, a moment after what it tells of: hence the button. */
export function Mine({ title, more, state, empty, children }) {
  return (
    <div className="inner mine">
      <div className="bar">
        <h1>{title}</h1>
        <button type="button" className="plain" disabled={state.status === 'loading'} onClick={state.again}>
          Refresh
        </button>
      </div>
      <Pages state={state} className="entries" label={title} more={more} empty={empty}>
        {children}
      </Pages>
    </div>
  );
}
