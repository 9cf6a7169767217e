import { useRef, useState } from 'react';
import { AccountDialog } from './account/AccountDialog.jsx';
import { nameOf } from './cars/car.js';
import { Cars } from './cars/Cars.jsx';
import { ListCarDialog } from './cars/ListCarDialog.jsx';
import { InsureDialog } from './insurance/InsureDialog.jsx';
import { Policies } from './insurance/Policies.jsx';
import { Notifications } from './notifications/Notifications.jsx';
import { Notice } from './parts/Notice.jsx';
import { auth, session } from './portal.js';
import { Top } from './Top.jsx';
import { useLogin } from './useLogin.js';
import { useView } from './useView.js';

const VIEWS = { cars: 'Cars', policies: 'My policies', notifications: 'My notifications' };
const REASONS = { list: 'To list a car, log in or sign up.', insure: 'To insure a car, log in or sign up.' };

export function App() {
  const main = useRef(null);
  const view = useView(Object.keys(VIEWS), main);
  const login = useLogin();
  const [dialog, setDialog] = useState(undefined);
  const [message, setMessage] = useState({});
  const [fresh, setFresh] = useState(undefined);

  const close = () => setDialog(undefined);
  const openAccount = (mode) => setDialog({ name: 'account', mode });
  // Only as long as the view stays: elsewhere it is yesterday's news.
  const say = (text) => setMessage({ view, text });
  const openList = () => setDialog({ name: 'list' });

  function onLoggedIn() {
    say(`Welcome, ${session.login.user.name}.`);
    // What the login was for goes on by itself.
    if (dialog.name === 'account') close();
  }

  function onLogOut() {
    say('You are logged out.');
    // The page has forgotten the login already; if auth is away, what it knows of it expires there.
    auth.logOut().catch(() => {});
  }

  function onListed(car) {
    close();
    say(`Your ${nameOf(car)} is listed.`);
    // Without filters, where the newest is on top: people look for what they have just listed.
    window.history.replaceState(null, '', `${window.location.pathname}#cars`);
    window.scrollTo({ top: 0 });
    setFresh(car);
  }

  function onPolicies() {
    close();
    window.location.hash = 'policies';
  }

  function showView() {
    if (view === 'cars') {
      return <Cars key={fresh?.id} fresh={fresh} onList={openList} onInsure={(car) => setDialog({ name: 'insure', car })} />;
    }
    if (!login) {
      return (
        <div className="inner mine">
          <h1>{VIEWS[view]}</h1>
          <Notice title="Log in to see them" text="They are yours alone." action="Log in" onAction={() => openAccount('logIn')} />
        </div>
      );
    }
    return view === 'policies' ? <Policies /> : <Notifications />;
  }

  function showDialog() {
    const { name, mode = 'logIn', car } = dialog;
    if (!login) return <AccountDialog mode={mode} reason={REASONS[name]} onClose={close} onDone={onLoggedIn} />;
    if (name === 'list') return <ListCarDialog onClose={close} onListed={onListed} />;
    return name === 'insure' && <InsureDialog car={car} onClose={close} onPolicies={onPolicies} />;
  }

  return (
    <>
      <Top views={VIEWS} view={view} onAccount={openAccount} onLogOut={onLogOut} />
      <div className="inner message" role="status">
        {message.view === view && (
          <p>
            <span>{message.text}</span>
            <button type="button" className="icon" aria-label="Dismiss" onClick={() => setMessage({})}>
              ×
            </button>
          </p>
        )}
      </div>
      <main ref={main} tabIndex={-1}>
        {showView()}
      </main>
      <footer className="bottom">
        <div className="inner">VahanHelp</div>
      </footer>
      {dialog && showDialog()}
    </>
  );
}
