// Which screen is shown. In the part of the address behind the hash, so that the gateway serves one page.

import { store } from './store';

export type Route =
  { screen: 'new' } | { screen: 'exams' } | { screen: 'exam'; id: string } | { screen: 'receipt' } | { screen: 'enclave' };

export function parseRoute(hash: string): Route {
  const parts = hash.replace(/^#\/?/, '').split('/').filter(Boolean);
  switch (parts[0]) {
    case 'exams':
      return parts[1] === undefined ? { screen: 'exams' } : { screen: 'exam', id: decode(parts[1]) };
    case 'receipt':
      return { screen: 'receipt' };
    case 'enclave':
      return { screen: 'enclave' };
    default:
      return { screen: 'new' };
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const ADDRESS = {
  new: '#/',
  exams: '#/exams',
  exam: (id: string) => `#/exams/${encodeURIComponent(id)}`,
  receipt: '#/receipt',
  enclave: '#/enclave',
};

export const route = store<Route>(parseRoute(typeof location === 'undefined' ? '' : location.hash));

/** Why the hospital's own provider let nobody in, where the gateway sent the browser here for that: until somebody is in. */
export const refusedSignIn = store<string | null>(takeRefusedSignIn());

function takeRefusedSignIn(): string | null {
  if (typeof location === 'undefined') return null;
  const address = new URL(location.href);
  const refused = address.searchParams.get('sign-in');
  if (refused !== null) {
    address.searchParams.delete('sign-in');
    history.replaceState(null, '', address);
  }
  return refused;
}

export function followAddress(): void {
  addEventListener('hashchange', () => route.set(parseRoute(location.hash)));
}

export function go(address: string): void {
  location.hash = address;
}
