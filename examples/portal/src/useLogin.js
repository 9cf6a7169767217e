import { useSyncExternalStore } from 'react';
import { session } from './portal.js';

/** Who is logged in, undefined for a visitor without a login. */
export const useLogin = () => useSyncExternalStore(session.subscribe, () => session.login);
