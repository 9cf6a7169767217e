import { useState } from 'react';

const IDLE = { busy: false, failure: '', fields: {} };

/** What a form needs: `send` gets its values by name, and what it throws is shown; one at a time. */
export function useForm(send) {
  const [state, setState] = useState(IDLE);

  async function onSubmit(event) {
    event.preventDefault();
    const form = event.currentTarget;
    setState({ ...IDLE, busy: true });
    try {
      await send(Object.fromEntries(new FormData(form)));
      setState(IDLE);
    } catch (error) {
      const { message, fields = {} } = error;
      setState({ busy: false, failure: message, fields });
      [...form.elements].find(({ name }) => fields[name])?.focus();
    }
  }

  return { ...state, onSubmit };
}
