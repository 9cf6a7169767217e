import { useEffect, useState } from 'react';
import { formatDay } from '../format.js';
import { poll } from '../poll.js';
import { insurance } from '../portal.js';

const WAITING = 'We have received your payment. Your policy is being made…';
const LATER = 'We have received your payment. Your policy comes by itself: look among your policies in a while.';
const UNKNOWN = 'The bank has not answered yet. We tell you as soon as it has, and the policy comes by itself.';

const findPolicy = async (quote) => (await insurance.policies()).find((each) => each.quote_id === quote.id);

/** What became of a payment: the policy, as soon as insurance has heard of it. */
export function Outcome({ quote, paid, onPolicies, onClose }) {
  const [text, setText] = useState(paid ? WAITING : UNKNOWN);

  useEffect(() => {
    if (!paid) return;
    poll(() => findPolicy(quote), Boolean).then(
      (policy) => setText(policy ? `Your ${quote.car.make} ${quote.car.model} is insured until ${formatDay(policy.ends_at)}.` : LATER),
      // Paid is paid, also when insurance is away.
      () => setText(LATER),
    );
  }, []);

  return (
    <>
      <p className="outcome" role="status">
        {text}
      </p>
      <footer>
        <button type="button" className="plain" onClick={onClose}>
          Done
        </button>
        <button type="button" className="primary" onClick={onPolicies}>
          Show my policies
        </button>
      </footer>
    </>
  );
}
