// What was checked of an enclave, in the order of the checks: the outcome, what it means, and the values.

import { CHECKS } from '../api/types';
import type { Check, Enclave } from '../api/types';
import { useWords } from '../i18n';
import type { Words } from '../i18n';
import { Icon } from './Icon';
import type { IconName } from './Icon';

const ICONS: Record<Check['outcome'], IconName> = { passed: 'check', failed: 'cross', 'not-reached': 'dash' };

/** The gateway's checks in their order, those that it did not name among them. */
export function allChecks(checks: Check[]): Check[] {
  const known: readonly string[] = CHECKS;
  const listed = CHECKS.map(
    (id) => checks.find((check) => check.id === id) ?? { id, outcome: 'not-reached' as const, expected: null, found: null },
  );
  return [...listed, ...checks.filter((check) => !known.includes(check.id))];
}

export function CheckList({ checks, open = false }: { checks: Check[]; open?: boolean }) {
  return <CheckRows checks={allChecks(checks)} failed={checks.some((check) => check.outcome === 'failed')} open={open} />;
}

function CheckRows({ checks, failed, open = false }: { checks: Check[]; failed: boolean; open?: boolean }) {
  const words = useWords();
  if (checks.length === 0) return null;
  return (
    <ol class="checks">
      {checks.map((check) => (
        <CheckRow key={check.id} check={check} words={words} failed={failed} open={open || check.outcome === 'failed'} />
      ))}
    </ol>
  );
}

/** Where no check failed, one that was not reached is one that the policy does not ask for. */
function CheckRow({ check, words, failed, open }: { check: Check; words: Words; failed: boolean; open: boolean }) {
  const { t, known } = words;
  const { id, outcome, expected, found } = check;
  const differ = outcome === 'failed' && expected !== null;
  const value = found ?? expected;
  return (
    <li class={`check check-${outcome}`}>
      <details open={open}>
        <summary>
          <span class="check-outcome">
            <Icon name={ICONS[outcome]} />
          </span>
          <span class="check-name">{known('check', id) ?? id}</span>
          <span class="check-word">{t(outcome === 'not-reached' && !failed ? 'outcome.not-asked' : `outcome.${outcome}`)}</span>
        </summary>
        <div class="check-body">
          {outcome === 'failed' && <p class="bad-text">{t('enclave.must')}</p>}
          <p>{known('check-meaning', id)}</p>
          {(value !== null || differ) && (
            <dl class="facts">
              {differ && <Value term={t('enclave.expected')} value={expected} />}
              {value !== null && !(differ && found === null) && <Value term={t('enclave.found')} value={value} />}
            </dl>
          )}
        </div>
      </details>
    </li>
  );
}

export function Value({ term, value }: { term: string; value: string | null }) {
  if (value === null || value === '') return null;
  return (
    <>
      <dt>{term}</dt>
      <dd class={value.length > 24 ? 'long' : ''}>{value}</dd>
    </>
  );
}

const STATE_ICONS: Record<Enclave['state'], IconName> = {
  verified: 'shield',
  refused: 'shield-off',
  unreachable: 'warning',
  checking: 'clock',
};

/** One enclave: whether it is trusted, in words, and why. */
export function EnclaveCard({ enclave, details, open = false }: { enclave: Enclave; details: boolean; open?: boolean }) {
  const { t, clock } = useWords();
  const { state, checks } = enclave;
  const passed = checks.filter((check) => check.outcome === 'passed').length;
  const meaning = {
    verified: t('enclave.meaning'),
    refused: t('enclave.refused.meaning'),
    unreachable: t('enclave.unreachable.meaning'),
    checking: '',
  }[state];
  return (
    <div class={`enclave-card enclave-${state}`} data-state={state}>
      <div class="enclave-head">
        <Icon name={STATE_ICONS[state]} />
        <div>
          <strong>{t(`enclave.state.${state}`)}</strong>
          <span class="quiet">
            {enclave.name}
            {enclave.checked_at !== null && ` · ${t('enclave.checked-at', { time: clock(enclave.checked_at) })}`}
          </span>
        </div>
        {enclave.simulated && <span class="badge badge-warn">{t('enclave.simulated')}</span>}
      </div>
      {!open && <CheckRows checks={checks.filter((check) => check.outcome === 'failed')} failed />}
      {(state !== 'verified' || !enclave.simulated) && <p>{meaning}</p>}
      {enclave.simulated && <p class="warn-text">{t('enclave.simulated.meaning')}</p>}
      {state !== 'verified' && enclave.sentence !== '' && (
        <p class="said">
          <span class="quiet">{t('enclave.said')}: </span>
          <span lang="en">{enclave.sentence}</span>
        </p>
      )}
      <details class="all-checks" open={open}>
        <summary>
          {state === 'verified'
            ? t('enclave.all-passed', { n: passed })
            : t('enclave.passed', { n: passed, total: allChecks(checks).length })}
        </summary>
        <CheckList checks={checks} open={open} />
      </details>
      {details && <EnclaveFacts enclave={enclave} />}
    </div>
  );
}

function EnclaveFacts({ enclave }: { enclave: Enclave }) {
  const { t, time } = useWords();
  const { model } = enclave;
  return (
    <dl class="facts facts-wide">
      <Value term={t('enclave.label')} value={enclave.label} />
      <Value term={t('enclave.until')} value={enclave.policy_until === null ? null : time(enclave.policy_until)} />
      <Value term={t('enclave.address')} value={enclave.address} />
      <Value term={t('enclave.module')} value={enclave.module_id} />
      <Value term={t('enclave.document')} value={enclave.document_time === null ? null : time(enclave.document_time)} />
      <Value term={t('enclave.model')} value={model === null ? null : `${model.name} ${model.version}`} />
      <Value term={t('enclave.digest')} value={model?.digest ?? null} />
    </dl>
  );
}
