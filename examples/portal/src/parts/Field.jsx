import { useId } from 'react';

/** A control with its label, a hint, and what is wrong with it. */
export function Field({ label, hint, error, as: Control = 'input', children, ...control }) {
  const id = useId();
  const note = error ? `${label} ${error}` : hint;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <Control id={id} aria-describedby={note && `${id}-note`} aria-invalid={error ? true : undefined} {...control}>
        {children}
      </Control>
      {note && (
        <small id={`${id}-note`} className={error && 'wrong'}>
          {note}
        </small>
      )}
    </div>
  );
}

/** A field of which one chooses: `choices` are pairs of a value and how it is called. */
export function Choice({ choices, ...field }) {
  return (
    <Field as="select" {...field}>
      {choices.map(([value, name]) => (
        <option key={value} value={value}>
          {name}
        </option>
      ))}
    </Field>
  );
}
