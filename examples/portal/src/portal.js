import { Client } from './api/client.js';
import { servicesOf } from './api/services.js';
import { Session } from './session.js';

export const session = new Session(window.sessionStorage);
export const { auth, cars, insurance, payment, notification } = servicesOf(new Client(session), session);
