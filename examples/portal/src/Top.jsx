import { useLogin } from './useLogin.js';

/** The page's head: where to go, and who is logged in. */
export function Top({ views, view, onAccount, onLogOut }) {
  const login = useLogin();
  return (
    <header className="top">
      <div className="inner">
        <a className="brand" href="/">
          <img src="/favicon.svg" alt="" width="36" height="36" />
          VahanHelp
        </a>
        <nav aria-label="Main">
          {Object.entries(views).map(([name, label]) => (
            <a key={name} href={`#${name}`} aria-current={name === view ? 'page' : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <div className="who">
          {login ? (
            <>
              <span>{login.user.name}</span>
              <button type="button" onClick={onLogOut}>
                Log out
              </button>
            </>
          ) : (
            <>
              <button type="button" onClick={() => onAccount('logIn')}>
                Log in
              </button>
              <button type="button" onClick={() => onAccount('signUp')}>
                Sign up
              </button>
            </>
          )}
        </div>
      </div>
    </header>
  );
}
