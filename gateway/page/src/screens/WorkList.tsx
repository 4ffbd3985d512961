// All exams, newest first, with where each stands.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import * as api from '../api/client';
import { STATES } from '../api/types';
import type { Exam } from '../api/types';
import { personName } from '../dicom/tags';
import { readings } from '../exam/reading';
import { useWords } from '../i18n';
import { StateChip, useTitle } from '../parts/common';
import { Icon } from '../parts/Icon';
import { noticeProblem, onDeleted, onExam, reconnections } from '../state/page';
import { ADDRESS, go } from '../state/route';
import { useStore } from '../state/store';

/** How many exams are asked for at a time. */
const PAGE = 50;

/** How long typing has to rest before it is searched for, in milliseconds. */
const REST_MS = 250;

export function WorkList() {
  const { t } = useWords();
  const heading = useTitle(t('list.title'));
  const [q, setQ] = useState('');
  const [state, setState] = useState('');
  const { exams, next, loaded, more } = useExams(q, state);
  const search = useRef<HTMLInputElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);

  const onKey = (event: KeyboardEvent) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.key === '/' && !typing) {
      search.current?.focus();
      event.preventDefault();
    }
    if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && !(event.target instanceof HTMLSelectElement)) {
      const links = [...(body.current?.querySelectorAll<HTMLElement>('a.row-link') ?? [])];
      const at = links.findIndex((link) => link === document.activeElement);
      const to = links[event.key === 'ArrowDown' ? at + 1 : Math.max(0, at - 1)];
      to?.focus();
      if (to) event.preventDefault();
    }
  };
  useEffect(() => {
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  });

  return (
    <div class="screen screen-text screen-wide">
      <div class="list-head">
        <h1 tabIndex={-1} ref={heading.ref}>
          {t('list.title')}
        </h1>
        <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
          <label class="field field-inline">
            <span>{t('list.search')}</span>
            <input
              ref={search}
              type="search"
              placeholder={t('list.search.hint')}
              value={q}
              aria-keyshortcuts="/"
              onInput={(event) => setQ(event.currentTarget.value)}
            />
          </label>
          <label class="field field-inline">
            <span>{t('list.state')}</span>
            <select value={state} onChange={(event) => setState(event.currentTarget.value)}>
              <option value="">{t('list.state.all')}</option>
              {STATES.map((each) => (
                <option key={each} value={each}>
                  {t(`state.${each}`)}
                </option>
              ))}
            </select>
          </label>
        </form>
        <a class="button button-primary" href={ADDRESS.new}>
          {t('list.new')}
        </a>
      </div>
      {exams.length > 0 && <Table exams={exams} body={body} />}
      {loaded && exams.length === 0 && (
        <div class="nothing">
          <p>{t(q === '' && state === '' ? 'list.none' : 'list.none.found')}</p>
        </div>
      )}
      <p class="hidden" role="status">
        {loaded ? t('list.count', { n: exams.length }) : ''}
      </p>
      {next !== null && (
        <button type="button" class="button" onClick={more}>
          {t('list.more')}
        </button>
      )}
    </div>
  );
}

/** The exams that match, kept current by the stream of changes. */
function useExams(q: string, state: string) {
  const [exams, setExams] = useState<Exam[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [loaded, setLoaded] = useState(false);
  const again = useStore(reconnections);
  const query = useRef(0);

  const load = useCallback(
    async (before: string | null) => {
      const mine = ++query.current;
      try {
        const page = await api.exams({ limit: PAGE, q: q.trim(), state, ...(before === null ? {} : { before }) });
        if (mine !== query.current) return;
        setExams((now) =>
          before === null ? page.exams : [...now, ...page.exams.filter((exam) => !now.some((each) => each.id === exam.id))],
        );
        setNext(page.next);
        setLoaded(true);
      } catch (error) {
        noticeProblem(error);
      }
    },
    [q, state],
  );

  useEffect(() => {
    const timer = setTimeout(() => void load(null), q === '' ? 0 : REST_MS);
    return () => clearTimeout(timer);
  }, [load, again]);
  useEffect(() => onDeleted((id) => setExams((now) => now.filter((exam) => exam.id !== id))), []);
  useEffect(
    () =>
      onExam((exam) => {
        setExams((now) => {
          const at = now.findIndex((each) => each.id === exam.id);
          if (at >= 0) return now.map((each) => (each.id === exam.id ? exam : each));
          // Whether a new one matches a search is the gateway's to say.
          if (q === '' && state === '') return [exam, ...now];
          void load(null);
          return now;
        });
      }),
    [load, q, state],
  );
  return { exams, next, loaded, more: () => void load(next) };
}

function Table({ exams, body }: { exams: Exam[]; body: { current: HTMLTableSectionElement | null } }) {
  const { t } = useWords();
  return (
    <div class="table-frame">
      <table class="work-list">
        <thead>
          <tr>
            <th scope="col">{t('list.received')}</th>
            <th scope="col">{t('list.label')}</th>
            <th scope="col">{t('list.patient')}</th>
            <th scope="col">{t('list.state')}</th>
            <th scope="col">{t('list.right')}</th>
            <th scope="col">{t('list.left')}</th>
            <th scope="col">{t('list.source')}</th>
            <th scope="col">{t('list.by')}</th>
          </tr>
        </thead>
        <tbody ref={body}>
          {exams.map((exam) => (
            <Row key={exam.id} exam={exam} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ exam }: { exam: Exam }) {
  const { t, time, score } = useWords();
  return (
    <tr data-exam={exam.id} onClick={() => go(ADDRESS.exam(exam.id))}>
      <td class="numbers">
        <time dateTime={exam.received_at}>{time(exam.received_at)}</time>
      </td>
      <td>
        <a class="row-link" href={ADDRESS.exam(exam.id)}>
          {exam.label === '' ? t('list.unlabelled') : exam.label}
        </a>
      </td>
      <td>{exam.patient === null ? null : personName(exam.patient)}</td>
      <td>
        <StateChip state={exam.state} />
      </td>
      {readings(exam).map(({ side, score: value, reached }) => (
        <td key={side} class="numbers cell-score">
          {value !== null && (
            <span class={reached === true ? 'above' : ''}>
              {score(value)}
              {reached === true && (
                <>
                  <Icon name="above" />
                  <span class="hidden">{t('exam.above')}</span>
                </>
              )}
            </span>
          )}
        </td>
      ))}
      <td>{t(`source.${exam.source}`)}</td>
      <td>{exam.by}</td>
    </tr>
  );
}
