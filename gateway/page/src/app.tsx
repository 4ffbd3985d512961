// The frame around every screen: where one is, whether the enclave is verified, who is signed in, what to keep in mind.

import { useEffect, useRef, useState } from 'preact/hooks';
import { chooseLanguage, LANGUAGES, useWords } from './i18n';
import type { Key, Language } from './i18n';
import type { Enclave, Enclaves, Session } from './api/types';
import { Banner } from './parts/common';
import { Help } from './parts/Help';
import { Icon } from './parts/Icon';
import { EnclaveScreen } from './screens/EnclaveScreen';
import { ExamScreen } from './screens/ExamScreen';
import { NewExam } from './screens/NewExam';
import { ReceiptScreen } from './screens/ReceiptScreen';
import { SignIn } from './screens/SignIn';
import { WorkList } from './screens/WorkList';
import { forgetFiles } from './state/drafts';
import { connected, enclaves, endSession, follow, mayUse, refreshSession, session, signedOut, startProblem } from './state/page';
import { ADDRESS, go, refusedSignIn, route } from './state/route';
import type { Route } from './state/route';
import { useStore } from './state/store';

const PLACES: { address: string; key: Key; screens: Route['screen'][] }[] = [
  { address: ADDRESS.new, key: 'nav.new', screens: ['new'] },
  { address: ADDRESS.exams, key: 'nav.exams', screens: ['exams', 'exam'] },
  { address: ADDRESS.receipt, key: 'nav.receipt', screens: ['receipt'] },
  { address: ADDRESS.enclave, key: 'nav.enclave', screens: ['enclave'] },
];

export function App() {
  const { t, language } = useWords();
  const now = useStore(session);
  const problem = useStore(startProblem);
  const allowed = mayUse(now);
  const [help, setHelp] = useState(false);
  const ended = useEnded(now);
  useEffect(() => {
    document.documentElement.lang = language === 'zh' ? 'zh-Hans' : 'en';
  }, [language]);
  useEffect(() => (allowed ? follow() : undefined), [allowed]);
  useEffect(() => {
    if (allowed) refusedSignIn.set(null);
  }, [allowed]);
  useShortcuts(allowed, () => setHelp(true));

  return (
    <div class="app">
      <a class="skip" href="#content" onClick={skip}>
        {t('nav.skip')}
      </a>
      <Header now={now} allowed={allowed} onHelp={() => setHelp(true)} />
      <Notice now={now} />
      {allowed && <Lost />}
      <main id="content" tabIndex={-1}>
        {now === null && problem !== null && (
          <div class="screen screen-text">
            <Banner kind="bad" title={t('start.failed')} live>
              <button type="button" class="button" onClick={() => void refreshSession()}>
                {t('lost.retry')}
              </button>
            </Banner>
          </div>
        )}
        {now === null && problem === null && <p class="screen screen-text quiet">{t('start.loading')}</p>}
        {now !== null && (allowed ? <Screen /> : <SignIn now={now} ended={ended} />)}
      </main>
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

function Screen() {
  const at = useStore(route);
  switch (at.screen) {
    case 'new':
      return <NewExam />;
    case 'exams':
      return <WorkList />;
    case 'exam':
      return <ExamScreen key={at.id} id={at.id} />;
    case 'receipt':
      return <ReceiptScreen />;
    case 'enclave':
      return <EnclaveScreen />;
  }
}

function skip(event: Event) {
  // The part behind the hash says which screen is shown, so the focus is moved by hand.
  event.preventDefault();
  document.getElementById('content')?.focus();
}

/**
 * Whether somebody's session ended by itself. Their images stay for when they sign in again, and are forgotten when somebody else does; whoever
 * signs out has them forgotten at once.
 */
function useEnded(now: Session | null): boolean {
  const last = useRef<string | null>(null);
  const [ended, setEnded] = useState(false);
  useEffect(() => {
    if (now === null) return;
    const name = now.user?.name ?? null;
    if (name === null) {
      setEnded(last.current !== null);
      return;
    }
    if (last.current !== null && last.current !== name) forgetFiles();
    last.current = name;
    setEnded(false);
  }, [now]);
  return ended && !signedOut.get();
}

function useShortcuts(allowed: boolean, onHelp: () => void) {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.matches('input, select, textarea');
      const place = event.altKey && /^Digit[1-4]$/.test(event.code) ? PLACES[Number(event.code.slice(-1)) - 1] : undefined;
      if (allowed && place) {
        go(place.address);
        event.preventDefault();
      } else if (event.key === '?' && !typing) onHelp();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [allowed, onHelp]);
}

function Header({ now, allowed, onHelp }: { now: Session | null; allowed: boolean; onHelp: () => void }) {
  const { t } = useWords();
  const at = useStore(route);
  const trusted = useStore(enclaves);
  const there = useStore(connected);
  return (
    <header class="top">
      <a class="brand" href={ADDRESS.new}>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M8 26V14a8 8 0 0 1 16 0v12M13 26v-9a3 3 0 0 1 6 0v9" />
        </svg>
        {t('app.name')}
      </a>
      {allowed && (
        <nav aria-label={t('nav.main')}>
          {PLACES.map(({ address, key, screens }) => (
            <a key={key} href={address} aria-current={screens.includes(at.screen) ? 'page' : undefined}>
              {t(key)}
            </a>
          ))}
        </nav>
      )}
      <div class="top-end">
        {/* What was last known says nothing while nobody answers. */}
        {allowed && there && trusted !== null && <Trust enclaves={trusted} />}
        <LanguageChoice />
        <button type="button" class="icon-button" aria-label={t('nav.help')} title={`${t('nav.help')} (?)`} onClick={onHelp}>
          <Icon name="keyboard" />
        </button>
        {now?.user && now.sign_in !== 'none' && (
          <>
            <span class="user" title={t('nav.signed-in', { name: now.user.name })}>
              {now.user.display === '' ? now.user.name : now.user.display}
            </span>
            <button
              type="button"
              class="button button-quiet button-small"
              onClick={() => {
                forgetFiles();
                void endSession();
              }}
            >
              {t('nav.sign-out')}
            </button>
          </>
        )}
      </div>
    </header>
  );
}

/** The one thing that is always to be seen: whether images may be sent. */
function Trust({ enclaves: now }: { enclaves: Enclaves }) {
  const { t } = useWords();
  const states = now.enclaves.map((enclave) => enclave.state);
  const worst = (['refused', 'unreachable', 'checking'] as const).find((state) => states.includes(state));
  const state: Enclave['state'] | 'none' = now.can_send ? 'verified' : (worst ?? 'none');
  return (
    <a class={`trust trust-${state}`} href={ADDRESS.enclave} aria-live="polite">
      <Icon name={now.can_send ? 'shield' : state === 'checking' ? 'clock' : 'shield-off'} />
      {t(`enclave.state.${state}`)}
    </a>
  );
}

function LanguageChoice() {
  const { t, language } = useWords();
  return (
    <select
      class="language"
      aria-label={t('nav.language')}
      value={language}
      onChange={(event) => chooseLanguage(event.currentTarget.value as Language)}
    >
      {(Object.entries(LANGUAGES) as [Language, string][]).map(([code, name]) => (
        <option key={code} value={code} lang={code}>
          {name}
        </option>
      ))}
    </select>
  );
}

function Notice({ now }: { now: Session | null }) {
  const { t } = useWords();
  const trusted = useStore(enclaves);
  const simulated = trusted?.enclaves.some((enclave) => enclave.simulated) === true;
  return (
    <p class={simulated ? 'notice notice-simulated' : 'notice'} role="note" aria-label={t('notice.label')}>
      {simulated && <strong>{t('enclave.simulated')}</strong>}
      <span>{t('notice.research')}</span>
      {now?.notice && <span lang="en">{now.notice}</span>}
    </p>
  );
}

function Lost() {
  const { t } = useWords();
  if (useStore(connected)) return null;
  return (
    <div class="lost" role="alert">
      <Icon name="warning" />
      <strong>{t('lost.title')}</strong>
      <span>{t('lost.body')}</span>
      <button type="button" class="button button-small" onClick={() => void refreshSession()}>
        {t('lost.retry')}
      </button>
    </div>
  );
}
