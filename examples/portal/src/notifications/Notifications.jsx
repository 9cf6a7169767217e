import { labelOf } from '../choices.js';
import { formatMoment } from '../format.js';
import { Mine } from '../parts/Mine.jsx';
import { Notice } from '../parts/Notice.jsx';
import { usePages } from '../parts/usePages.js';
import { notification } from '../portal.js';

const CHANNELS = [
  ['email', 'E-mail'],
  ['sms', 'SMS'],
  ['push', 'Push message'],
];
const STATUSES = [
  ['waiting', 'on its way'],
  ['sent', 'sent'],
  ['failed', 'could not be sent'],
];

function Notification({ told }) {
  return (
    <li className="entry" data-event={told.event}>
      {told.subject && <h2>{told.subject}</h2>}
      <p className="letter">{told.text.trim()}</p>
      <p className="facts">
        {labelOf(CHANNELS, told.channel)}, {labelOf(STATUSES, told.status)} · {formatMoment(told.sent_at ?? told.created_at)}
      </p>
    </li>
  );
}

export function Notifications() {
  const state = usePages(notification.list);
  const empty = <Notice title="No notifications yet" text="They come a moment after what they tell of." />;
  return (
    <Mine title="My notifications" more="Show more notifications" state={state} empty={empty}>
      {(told) => <Notification key={told.id} told={told} />}
    </Mine>
  );
}
