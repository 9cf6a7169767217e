import { useEffect, useId, useRef, useState } from 'react';
import { addListing, newKey } from './api.js';
import { EMPTY_LISTING, FUELS, readForm, TRANSMISSIONS } from './listing.js';

function Field({ label, hint, error, children }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ') || undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': described, 'aria-invalid': error ? true : undefined })}
      {hint && !error && <small id={`${id}-hint`}>{hint}</small>}
      {error && (
        <small id={`${id}-error`} className="wrong">
          {label} {error}
        </small>
      )}
    </div>
  );
}

/** The form that adds a car, as a modal dialog while `open`. */
export function AddCarDialog({ open, onClose, onAdded }) {
  const dialog = useRef(null);
  const title = useId();
  const [form, setForm] = useState(EMPTY_LISTING);
  const [fields, setFields] = useState({});
  const [failure, setFailure] = useState('');
  const [saving, setSaving] = useState(false);
  // What was sent last without an answer: sent again as it is, it keeps its name.
  const attempt = useRef({});

  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);

  const input = (name, more = {}) => ({
    name,
    value: form[name],
    onChange: (event) => setForm({ ...form, [name]: event.target.value }),
    ...more,
  });

  function showWrong(wrong) {
    setFields(wrong);
    const first = Object.keys(EMPTY_LISTING).find((name) => wrong[name]);
    if (first) dialog.current.querySelector(`[name="${first}"]`).focus();
  }

  async function submit(event) {
    event.preventDefault();
    setFailure('');
    const read = readForm(form);
    showWrong(read.fields);
    if (!read.listing) return;
    setSaving(true);
    const content = JSON.stringify(read.listing);
    if (attempt.current.content !== content) attempt.current = { content, key: newKey() };
    try {
      const added = await addListing(read.listing, attempt.current.key);
      attempt.current = {};
      setForm(EMPTY_LISTING);
      onAdded(added);
    } catch (error) {
      setFailure(error.message);
      showWrong(error.fields);
    } finally {
      setSaving(false);
    }
  }

  return (
    <dialog ref={dialog} className="dialog" aria-labelledby={title} onClose={onClose}>
      <form onSubmit={submit} noValidate>
        <header>
          <h2 id={title}>Sell your car</h2>
          <button type="button" className="icon" aria-label="Close" onClick={onClose}>
            ×
          </button>
        </header>
        <div className="fields">
          <Field label="Make" error={fields.make}>
            {(props) => <input {...props} {...input('make')} maxLength={60} autoComplete="off" placeholder="Tata" />}
          </Field>
          <Field label="Model" error={fields.model}>
            {(props) => <input {...props} {...input('model')} maxLength={80} autoComplete="off" placeholder="Nexon EV" />}
          </Field>
          <Field label="Year" error={fields.year}>
            {(props) => <input {...props} {...input('year')} inputMode="numeric" placeholder="2024" />}
          </Field>
          <Field label="Price" hint="In rupees" error={fields.price}>
            {(props) => <input {...props} {...input('price')} inputMode="numeric" placeholder="14,50,000" />}
          </Field>
          <Field label="Mileage" hint="In kilometres" error={fields.mileage_km}>
            {(props) => <input {...props} {...input('mileage_km')} inputMode="numeric" placeholder="12,000" />}
          </Field>
          <Field label="City" error={fields.city}>
            {(props) => <input {...props} {...input('city')} maxLength={80} placeholder="Pune" />}
          </Field>
          <Field label="Fuel" error={fields.fuel}>
            {(props) => (
              <select {...props} {...input('fuel')}>
                {FUELS.map(([value, label]) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field label="Transmission" error={fields.transmission}>
            {(props) => (
              <select {...props} {...input('transmission')}>
                {TRANSMISSIONS.map(([value, label]) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <div className="wide">
            <Field label="Description" error={fields.description}>
              {(props) => (
                <textarea {...props} {...input('description')} rows={3} maxLength={4000} placeholder="One owner, full service history" />
              )}
            </Field>
          </div>
        </div>
        {failure && (
          <p className="failure" role="alert">
            {failure}
          </p>
        )}
        <footer>
          <button type="button" className="plain" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={saving}>
            {saving ? 'Adding…' : 'Add car'}
          </button>
        </footer>
      </form>
    </dialog>
  );
}
