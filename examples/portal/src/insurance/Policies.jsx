import { nameOf } from '../cars/car.js';
import { labelOf } from '../choices.js';
import { formatAmount, formatDay } from '../format.js';
import { Mine } from '../parts/Mine.jsx';
import { Notice } from '../parts/Notice.jsx';
import { usePages } from '../parts/usePages.js';
import { insurance } from '../portal.js';
import { COVERS } from './covers.js';

const STATUSES = [
  ['active', 'Active'],
  ['cancelled', 'Cancelled'],
  ['expired', 'Expired'],
];

function Policy({ policy }) {
  return (
    <li className="entry" data-policy={policy.id}>
      <div className="bar">
        <h2>{nameOf(policy.car)}</h2>
        <span className={policy.status === 'active' ? 'chip green' : 'chip'}>{labelOf(STATUSES, policy.status)}</span>
      </div>
      <p>
        {labelOf(COVERS, policy.cover)}, {formatAmount(policy.premium)} for a year
      </p>
      <p className="facts">
        {formatDay(policy.starts_at)} to {formatDay(policy.ends_at)} · insured value {formatAmount(policy.insured_value)} · number{' '}
        {policy.id}
      </p>
    </li>
  );
}

/** One's own policies; insurance gives all there are at once. */
async function read(page, signal) {
  const items = await insurance.policies(signal);
  return { items, page, page_size: items.length, total: items.length };
}

export function Policies() {
  const state = usePages(read);
  const empty = <Notice title="No policies yet" text="Choose a car, ask for a quote and pay it: it becomes a policy." />;
  return (
    <Mine title="My policies" state={state} empty={empty}>
      {(policy) => <Policy key={policy.id} policy={policy} />}
    </Mine>
  );
}
