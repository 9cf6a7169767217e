import { useEffect, useId, useRef } from 'react';

/** A modal dialog, open as long as it is there. Its title says at which step it is. */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  const id = useId();

  useEffect(() => {
    const element = dialog.current;
    element.showModal();
    return () => element.close();
  }, []);

  useEffect(() => {
    // Where a person goes on; what had the focus in the step before is gone.
    const field = dialog.current.querySelector('input, select');
    (field ?? dialog.current.querySelector('h2')).focus();
  }, [title]);

  return (
    <dialog ref={dialog} className="dialog" aria-labelledby={id} onCancel={onClose}>
      <header>
        <h2 id={id} tabIndex={-1}>
          {title}
        </h2>
        <button type="button" className="icon" aria-label="Close" onClick={onClose}>
          ×
        </button>
      </header>
      {children}
    </dialog>
  );
}
