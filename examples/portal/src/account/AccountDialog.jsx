import { useState } from 'react';
import { Dialog } from '../parts/Dialog.jsx';
import { Failed } from '../parts/Failed.jsx';
import { Field } from '../parts/Field.jsx';
import { useForm } from '../parts/useForm.js';
import { auth } from '../portal.js';

const LOG_IN = { title: 'Log in', send: auth.logIn, busy: 'Logging in…', other: 'signUp', question: 'No account yet?' };
const SIGN_UP = { title: 'Sign up', send: auth.signUp, busy: 'Signing up…', other: 'logIn', question: 'An account already?' };
const MODES = { logIn: LOG_IN, signUp: SIGN_UP };

function AccountForm({ mode, onDone, onOther }) {
  const { title, send, busy: busyTitle, other, question } = MODES[mode];
  const isNew = mode === 'signUp';
  const { busy, failure, fields, onSubmit } = useForm(async (values) => {
    await send(values);
    onDone();
  });
  return (
    <form onSubmit={onSubmit}>
      <div className="fields single">
        {isNew && <Field label="Name" name="name" error={fields.name} required maxLength={100} autoComplete="name" />}
        <Field label="E-mail address" name="email" type="email" error={fields.email} required maxLength={254} autoComplete="username" />
        <Field
          label="Password"
          name="password"
          type="password"
          error={fields.password}
          hint={isNew ? 'At least 10 characters' : undefined}
          required
          minLength={isNew ? 10 : undefined}
          maxLength={200}
          autoComplete={isNew ? 'new-password' : 'current-password'}
        />
        {isNew && (
          <Field
            label="Phone"
            name="phone"
            type="tel"
            error={fields.phone}
            hint="If you want messages by SMS, with the country: +919876543210"
            pattern="\+[1-9]\d{6,14}"
            title="A plus, the country and the number, digits only"
            autoComplete="tel"
          />
        )}
      </div>
      <Failed message={failure} />
      <footer>
        <span className="aside">
          {question}
          <button type="button" className="link" onClick={() => onOther(other)}>
            {MODES[other].title}
          </button>
        </span>
        <button type="submit" className="primary" disabled={busy}>
          {busy ? busyTitle : title}
        </button>
      </footer>
    </form>
  );
}

/** Log in or sign up; `reason` says what for. */
export function AccountDialog({ mode: firstMode, reason, onClose, onDone }) {
  const [mode, setMode] = useState(firstMode);
  return (
    <Dialog title={MODES[mode].title} onClose={onClose}>
      {reason && <p className="lead">{reason}</p>}
      {/* What was wrong with one form is not wrong with the other. */}
      <AccountForm key={mode} mode={mode} onDone={onDone} onOther={setMode} />
    </Dialog>
  );
}
