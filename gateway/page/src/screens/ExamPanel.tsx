// Beside an exam's images: scores, progress, findings, the receipt, and how the answer was made.

import { useState } from 'preact/hooks';
import * as api from '../api/client';
import type { Problem } from '../api/problem';
import { VIEWS } from '../api/types';
import type { Exam } from '../api/types';
import { allFindings, isOver } from '../exam/reading';
import { useWords } from '../i18n';
import { CheckList, Value } from '../parts/Checks';
import { asProblem, Banner, Dialog, problemWords, StateChip } from '../parts/common';
import { Icon } from '../parts/Icon';
import { Progress } from '../parts/Progress';
import { Scores } from '../parts/Scores';
import { noticeProblem, session } from '../state/page';
import { ADDRESS, go } from '../state/route';
import { useStore } from '../state/store';

interface PanelProps {
  exam: Exam;
  onExam: (exam: Exam) => void;
}

export function ExamPanel({ exam, onExam }: PanelProps) {
  const { t } = useWords();
  const answered = exam.breasts !== null;
  return (
    <aside class="panel" aria-label={t('exam.title')}>
      <div class="panel-scroll">
        <div class="panel-section panel-state">
          <StateChip state={exam.state} />
        </div>
        <Trouble exam={exam} onExam={onExam} />
        {answered && <Scores exam={exam} />}
        <Findings exam={exam} />
        {!isOver(exam.state) && <p class="panel-section quiet">{t('exam.scores.wait')}</p>}
        <Receipt exam={exam} />
        <Progress exam={exam} />
        <Results exam={exam} />
        <Details exam={exam} />
        <Remove exam={exam} />
      </div>
    </aside>
  );
}

/** What went wrong, and what can be done. */
function Trouble({ exam, onExam }: PanelProps) {
  const words = useWords();
  const { t, known } = words;
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const abstained = exam.state === 'abstained';
  const { reason } = exam;
  const said = reason === null ? null : known('problem', reason.type);
  if (!isOver(exam.state) && reason !== null) {
    return (
      <div class="panel-section">
        <Banner kind="warn" title={t('exam.again')} live>
          <p lang={said === null ? 'en' : undefined}>{said ?? reason.sentence}</p>
        </Banner>
      </div>
    );
  }
  if (exam.state !== 'failed' && !abstained) return null;
  const retry = () => {
    setBusy(true);
    api
      .retryExam(exam.id)
      .then(onExam, (error: unknown) => {
        noticeProblem(error);
        setProblem(asProblem(error));
      })
      .finally(() => setBusy(false));
  };
  return (
    <div class="panel-section">
      <Banner kind={abstained ? 'warn' : 'bad'} title={t(abstained ? 'exam.abstained.title' : 'exam.failed.title')} live>
        {reason !== null && <Reason reason={reason} said={said} />}
        {abstained && <p>{t('exam.abstained.body')}</p>}
        {!abstained && exam.images_kept && (
          <>
            <p>{t('exam.retry.body')}</p>
            <button type="button" class="button" disabled={busy} onClick={retry}>
              {t('exam.retry')}
            </button>
          </>
        )}
        {problem !== null && <p class="bad-text">{problemWords(words, problem)}</p>}
      </Banner>
    </div>
  );
}

/** The page's words, and which view it is about; the gateway's own where the page has none, else behind a fold. */
function Reason({ reason, said }: { reason: NonNullable<Exam['reason']>; said: string | null }) {
  const { t } = useWords();
  const views = VIEWS.filter((view) => reason.sentence.includes(view)).map((view) => t(`view.${view}`));
  const sentence = <p lang="en">{reason.sentence}</p>;
  if (said === null) return sentence;
  return (
    <>
      <p>
        {views.length > 0 && <strong>{views.join(', ')}: </strong>}
        {said}
      </p>
      {reason.sentence !== '' && (
        <details class="quiet">
          <summary>{t('enclave.said')}</summary>
          {sentence}
        </details>
      )}
    </>
  );
}

function Findings({ exam }: { exam: Exam }) {
  const { t, known } = useWords();
  const found = allFindings(exam);
  if (found.length === 0) return null;
  return (
    <section class="panel-section" aria-labelledby="findings-title">
      <h2 id="findings-title">{t('exam.findings')}</h2>
      <ul class="findings">
        {found.map(({ finding, views }) => (
          <li key={finding} class="finding" data-finding={finding}>
            <Icon name="info" />
            <div>
              <p>{known('finding', finding) ?? finding}</p>
              {views.length > 0 && <p class="quiet">{views.map((view) => t(`view.${view}`)).join(', ')}</p>}
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Receipt({ exam }: { exam: Exam }) {
  const { t } = useWords();
  const { receipt } = exam;
  if (receipt === null) return null;
  return (
    <section class="panel-section" aria-labelledby="receipt-title">
      <h2 id="receipt-title">{t('exam.receipt')}</h2>
      <a class="button button-primary" href={api.receiptUrl(exam.id)} download={`receipt-${exam.id}.cose`}>
        <Icon name="down" />
        {t('exam.receipt.download')}
      </a>
      <p class="quiet">{t('exam.receipt.meaning')}</p>
    </section>
  );
}

function Results({ exam }: { exam: Exam }) {
  const { t } = useWords();
  if (exam.results.length === 0) return null;
  return (
    <section class="panel-section" aria-labelledby="results-title">
      <h2 id="results-title">{t('exam.results')}</h2>
      <ul class="results">
        {exam.results.map((result) => (
          <li key={result.id}>
            <a href={api.resultUrl(exam.id, result.id)} download={`${result.kind}${result.view === null ? '' : `-${result.view}`}.dcm`}>
              {t(`exam.result.${result.kind}`)}
              {result.view !== null && ` · ${t(`view.${result.view}`)}`}
            </a>
            <span class="quiet">
              {result.delivered_to === null ? t('exam.result.kept') : t('exam.result.delivered', { place: result.delivered_to })}
            </span>
          </li>
        ))}
      </ul>
      <p>
        <a href={api.reportUrl(exam.id)} download={`report-${exam.id}.json`}>
          {t('exam.report')}
        </a>
      </p>
    </section>
  );
}

function Details({ exam }: { exam: Exam }) {
  const { t, time } = useWords();
  const { model, enclave, receipt } = exam;
  if (model === null && enclave === null) return null;
  return (
    <details class="panel-section details">
      <summary>{t('exam.details')}</summary>
      <dl class="facts facts-wide">
        <Value term={t('enclave.model')} value={model === null ? null : `${model.name} ${model.version}`} />
        <Value term={t('enclave.digest')} value={model?.digest ?? null} />
        <Value term={t('nav.enclave')} value={enclave?.name ?? null} />
        <Value term={t('enclave.label')} value={enclave?.label ?? null} />
        <Value term={t('enclave.module')} value={enclave?.module_id ?? null} />
        <Value term={t('enclave.document')} value={enclave?.document_time ? time(enclave.document_time) : null} />
        <Value term={`${t('exam.receipt')}: ${t('exam.receipt.digest')}`} value={receipt?.digest ?? null} />
        <Value term={t('exam.receipt.key')} value={receipt?.key_id ?? null} />
      </dl>
      {enclave?.checks && (
        <>
          <h3>{t('enclave.checks')}</h3>
          <CheckList checks={enclave.checks} />
        </>
      )}
    </details>
  );
}

function Remove({ exam }: { exam: Exam }) {
  const words = useWords();
  const { t } = words;
  const user = useStore(session)?.user ?? null;
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  // The gateway lets readers delete what they sent, and administrators everything.
  if (user !== null && user.role !== 'administrator' && user.name !== exam.by) return null;
  const remove = () => {
    setAsking(false);
    api.deleteExam(exam.id).then(
      () => go(ADDRESS.exams),
      (error: unknown) => {
        noticeProblem(error);
        setProblem(asProblem(error));
      },
    );
  };
  return (
    <div class="panel-section">
      {problem !== null && <p class="bad-text">{problemWords(words, problem)}</p>}
      <button type="button" class="button button-quiet" onClick={() => setAsking(true)}>
        {t('exam.delete')}
      </button>
      {asking && (
        <Dialog title={t('exam.delete')} onClose={() => setAsking(false)}>
          <p>{t('exam.delete.ask')}</p>
          <div class="buttons">
            <button type="button" class="button" onClick={() => setAsking(false)}>
              {t('exam.delete.no')}
            </button>
            <button type="button" class="button button-danger" onClick={remove}>
              {t('exam.delete.yes')}
            </button>
          </div>
        </Dialog>
      )}
    </div>
  );
}
