// Who is there: a password, or the hospital's own provider.

import { useState } from 'preact/hooks';
import * as api from '../api/client';
import type { Problem } from '../api/problem';
import type { Session } from '../api/types';
import { useWords } from '../i18n';
import { asProblem, Banner, problemWords, useTitle } from '../parts/common';
import { session, signedOut } from '../state/page';
import { refusedSignIn } from '../state/route';
import { useStore } from '../state/store';

export function SignIn({ now, ended }: { now: Session; ended: boolean }) {
  const { t } = useWords();
  const heading = useTitle(t('sign-in.title'));
  return (
    <div class="sign-in">
      <div class="sign-in-box">
        <h1 tabIndex={-1} ref={heading.ref}>
          {t('sign-in.title')}
        </h1>
        <p class="quiet">{t('sign-in.lead')}</p>
        {ended && <Banner kind="info" title={t('sign-in.ended')} />}
        {now.sign_in === 'oidc' ? <Provider /> : <PasswordForm />}
      </div>
    </div>
  );
}

/** Problems whose own words fit here. A provider keeps other reasons to itself. */
const OWN_WORDS = ['provider', 'internal'];

function Provider() {
  const { t, known } = useWords();
  const refused = useStore(refusedSignIn);
  const words = refused !== null && OWN_WORDS.includes(refused) ? known('problem', refused) : null;
  return (
    <>
      {refused !== null && <Banner kind="bad" title={words ?? t('sign-in.not-completed')} live />}
      <a class="button button-primary button-large" href={api.OIDC_URL}>
        {t('sign-in.oidc')}
      </a>
    </>
  );
}

function PasswordForm() {
  const words = useWords();
  const { t } = words;
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    api
      .signIn(user, password)
      .then(
        (next) => {
          signedOut.set(false);
          session.set(next);
        },
        (error: unknown) => {
          setPassword('');
          setProblem(asProblem(error));
        },
      )
      .finally(() => setBusy(false));
  };
  return (
    <form onSubmit={submit}>
      {problem !== null && <Banner kind="bad" title={problemWords(words, problem)} live />}
      <label class="field">
        <span>{t('sign-in.user')}</span>
        <input
          type="text"
          autocomplete="username"
          autocapitalize="none"
          required
          value={user}
          onInput={(event) => setUser(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>{t('sign-in.password')}</span>
        <input
          type="password"
          autocomplete="current-password"
          required
          value={password}
          onInput={(event) => setPassword(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="button button-primary button-large" disabled={busy}>
        {t('sign-in.go')}
      </button>
    </form>
  );
}
