// Drop a receipt, and read whether it is to be believed and what it says.

import { useState } from 'preact/hooks';
import * as api from '../api/client';
import type { Problem } from '../api/problem';
import { SIDES, VIEWS } from '../api/types';
import type { ReceiptClaims, ReceiptVerdict, Scores, Side } from '../api/types';
import { useWords } from '../i18n';
import { Value } from '../parts/Checks';
import { asProblem, Banner, ChooseFiles, DropTarget, problemWords, useTitle } from '../parts/common';
import { noticeProblem } from '../state/page';
import { ADDRESS } from '../state/route';

/** A receipt has at most 48 KiB; what is longer is none. */
const LONGEST_RECEIPT = 64 * 1024;

type Outcome = { verdict: ReceiptVerdict } | { problem: Problem } | { none: true } | { checking: true } | null;

export function ReceiptScreen() {
  const { t } = useWords();
  const heading = useTitle(t('receipt.title'));
  const [outcome, setOutcome] = useState<Outcome>(null);
  const check = (files: File[]) => {
    const file = files[0];
    if (!file) return;
    if (file.size === 0 || file.size > LONGEST_RECEIPT) {
      setOutcome({ none: true });
      return;
    }
    setOutcome({ checking: true });
    api.checkReceipt(file).then(
      (verdict) => setOutcome({ verdict }),
      (error: unknown) => {
        noticeProblem(error);
        const problem = asProblem(error);
        setOutcome(problem.type === 'not-a-receipt' ? { none: true } : { problem });
      },
    );
  };
  const choose = (
    <ChooseFiles
      words={t(outcome === null ? 'receipt.choose' : 'receipt.another')}
      multiple={false}
      primary={outcome === null}
      onFiles={check}
    />
  );
  return (
    <DropTarget class="screen screen-text" onFiles={check}>
      <h1 tabIndex={-1} ref={heading.ref}>
        {t('receipt.title')}
      </h1>
      <p class="lead">{t('receipt.lead')}</p>
      <div aria-live="polite">
        {outcome === null ? (
          <div class="drop-zone">
            <p class="drop-words">{t('receipt.drop')}</p>
            {choose}
          </div>
        ) : (
          <Verdict outcome={outcome} />
        )}
      </div>
      {outcome !== null && choose}
    </DropTarget>
  );
}

function Verdict({ outcome }: { outcome: NonNullable<Outcome> }) {
  const words = useWords();
  const { t } = words;
  if ('checking' in outcome) return <p class="quiet">{t('receipt.checking')}</p>;
  if ('none' in outcome) {
    return (
      <Banner kind="warn" title={t('receipt.none')}>
        <p>{t('receipt.none.body')}</p>
      </Banner>
    );
  }
  if ('problem' in outcome) {
    return (
      <Banner kind="bad" title={t('fail.title')}>
        <p>{problemWords(words, outcome.problem)}</p>
      </Banner>
    );
  }
  const { verdict } = outcome;
  return (
    <div class="verdict-box" data-believed={verdict.believed}>
      <Banner kind={verdict.believed ? 'good' : 'bad'} title={t(verdict.believed ? 'receipt.believed' : 'receipt.refused')}>
        <p>{t(verdict.believed ? 'receipt.believed.body' : 'receipt.refused.body')}</p>
        {!verdict.believed && verdict.sentence !== '' && (
          <p class="said">
            <span class="quiet">{t('enclave.said')}: </span>
            <span lang="en">{verdict.sentence}</span>
          </p>
        )}
      </Banner>
      {verdict.believed && verdict.claims !== null && <Claims verdict={verdict} claims={verdict.claims} />}
      <p class="quiet">{t('receipt.limits')}</p>
    </div>
  );
}

function Claims({ verdict, claims }: { verdict: ReceiptVerdict; claims: ReceiptClaims }) {
  const { t, time } = useWords();
  return (
    <section aria-labelledby="claims-title">
      <h2 id="claims-title">{t('receipt.claims')}</h2>
      <ClaimedScores claims={claims} />
      <dl class="facts facts-wide">
        <Value term={t('receipt.time')} value={time(claims.time)} />
        <Value term={t('enclave.model')} value={`${claims.model.name} ${claims.model.version}`} />
        <Value term={t('enclave.digest')} value={claims.model.digest} />
        <Value term={t('receipt.program')} value={claims.program} />
        <Value term={t('enclave.label')} value={verdict.label} />
        <Value term={t('enclave.module')} value={verdict.module_id} />
        <Value term={t('enclave.document')} value={verdict.document_time === null ? null : time(verdict.document_time)} />
        {claims.views.map((view) => (
          <Value key={view.view} term={`${t('receipt.pixels')} ${view.view}`} value={view.pixels_sha256} />
        ))}
      </dl>
      <p>
        {verdict.exam === null ? (
          <span class="quiet">{t('receipt.unknown-exam')}</span>
        ) : (
          <a href={ADDRESS.exam(verdict.exam)}>{t('receipt.open-exam')}</a>
        )}
      </p>
    </section>
  );
}

function ClaimedScores({ claims }: { claims: ReceiptClaims }) {
  const { t, score, known } = useWords();
  const breasts = SIDES.flatMap((side) => {
    const scores = breastScores(claims, side);
    return scores === null ? [] : [{ name: t(`side.${side}`), scores }];
  });
  const views = VIEWS.flatMap((view) =>
    claims.views.filter((each) => each.view === view).map(({ scores }) => ({ name: t(`view.${view}`), scores })),
  );
  // A network that looks at both views of a breast at once gives no view a score of its own.
  const rows = [...breasts, ...views.filter(({ scores }) => Object.keys(scores).length > 0)];
  const labels = [...new Set(rows.flatMap(({ scores }) => Object.keys(scores)))].sort();
  return (
    <table class="claimed-scores">
      <thead>
        <tr>
          <th scope="col">{t('receipt.scores')}</th>
          {labels.map((label) => (
            <th key={label} scope="col" class="numbers">
              {known('label', label) ?? label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ name, scores }, at) => (
          <tr key={name} class={at < breasts.length ? 'breast-row' : ''}>
            <th scope="row">{name}</th>
            {labels.map((label) => (
              <td key={label} class="numbers">
                {scores[label] === undefined ? '' : score(scores[label])}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A breast's scores stand in the claims themselves, or one step down. */
function breastScores(claims: ReceiptClaims, side: Side): Scores | null {
  const breast = claims.breasts?.[side];
  if (!breast) return null;
  return 'scores' in breast && typeof breast.scores === 'object' ? breast.scores : (breast as Scores);
}
