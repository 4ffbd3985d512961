// One exam: its images with the overlay, the scores, how far it is, and the receipt.

import { useEffect, useState } from 'preact/hooks';
import * as api from '../api/client';
import { Problem } from '../api/problem';
import type { Exam, View } from '../api/types';
import { personName } from '../dicom/tags';
import { matchFiles } from '../exam/reading';
import { readItem } from '../exam/draft';
import { useWords } from '../i18n';
import { asProblem, Banner, ChooseFiles, DropTarget, problemWords, useTitle } from '../parts/common';
import { Icon } from '../parts/Icon';
import { noticeProblem, onDeleted, onExam, reconnections } from '../state/page';
import { ADDRESS } from '../state/route';
import { useStore } from '../state/store';
import { Viewer } from '../viewer/Viewer';
import { ExamPanel } from './ExamPanel';
import { useImages, useMaps } from './examImages';
import type { Images } from './examImages';

export function ExamScreen({ id }: { id: string }) {
  const words = useWords();
  const { t } = words;
  const { exam, problem, set } = useExam(id);
  const heading = useTitle(exam === null || exam.label === '' ? t('exam.title') : exam.label);
  if (exam === null) {
    return (
      <div class="screen screen-text">
        {problem !== null && (
          <Banner kind="bad" title={t('fail.title')} live>
            <p>{problem.status === 404 ? t('exam.not-found') : problemWords(words, problem)}</p>
            <p>
              <a href={ADDRESS.exams}>{t('exam.back')}</a>
            </p>
          </Banner>
        )}
        {problem === null && <p class="quiet">{t('start.loading')}</p>}
      </div>
    );
  }
  return <Loaded exam={exam} onExam={set} heading={heading.ref} />;
}

/** The exam as it is now: asked for, then as the stream tells its changes. */
function useExam(id: string) {
  const [exam, set] = useState<Exam | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const again = useStore(reconnections);
  useEffect(() => {
    let current = true;
    // A change that is told while the answer is on its way is newer than the answer.
    const take = (next: Exam) => {
      if (!current) return;
      setProblem(null);
      set((now) => (now === null || now.id !== next.id || next.updated_at >= now.updated_at ? merged(now, next) : now));
    };
    const stop = onExam((next) => {
      if (next.id === id) take(next);
    });
    const stopDeleted = onDeleted((gone) => {
      if (gone !== id) return;
      set(null);
      setProblem(new Problem('not-found', '', 404));
    });
    api.exam(id).then(take, (error: unknown) => {
      noticeProblem(error);
      if (current) setProblem(asProblem(error));
    });
    return () => {
      current = false;
      stop();
      stopDeleted();
    };
  }, [id, again]);
  return { exam, problem, set };
}

/** News of an exam may leave the list of checks out; what was told before stays. */
function merged(now: Exam | null, next: Exam): Exam {
  if (now === null || now.id !== next.id || !next.enclave || next.enclave.checks || !now.enclave?.checks) return next;
  return { ...next, enclave: { ...next.enclave, checks: now.enclave.checks } };
}

interface LoadedProps {
  exam: Exam;
  onExam: (exam: Exam) => void;
  heading: (element: HTMLHeadingElement | null) => void;
}

function Loaded({ exam, onExam: set, heading }: LoadedProps) {
  const { t, time } = useWords();
  const images = useImages(exam);
  const maps = useMaps(exam);
  const [other, setOther] = useState(false);
  const drop = (files: File[]) => {
    void showDropped(exam, images, files).then((found) => setOther(!found));
  };
  return (
    <DropTarget class="screen screen-viewer" onFiles={drop}>
      <div class="stage">
        <header class="exam-head">
          <a href={ADDRESS.exams} class="back">
            <Icon name="back" />
            {t('exam.back')}
          </a>
          <h1 tabIndex={-1} ref={heading}>
            {exam.label === '' ? t('list.unlabelled') : exam.label}
          </h1>
          {exam.patient !== null && <span>{personName(exam.patient)}</span>}
          <span class="quiet">
            <time dateTime={exam.received_at}>{time(exam.received_at)}</time> · {t(`source.${exam.source}`)}
            {exam.by !== null && ` · ${t('exam.sent-by', { name: exam.by })}`}
          </span>
        </header>
        {(images.deleted || other) && (
          <div class="stage-note">
            <Banner kind="info" title={t(other ? 'exam.images-other' : 'exam.images-deleted')}>
              <p>{t('exam.images-drop')}</p>
            </Banner>
            <ChooseFiles words={t('new.choose')} multiple onFiles={drop} />
          </div>
        )}
        <Viewer
          sources={images.sources}
          maps={exam.views.some((view) => view.has_map) ? maps : null}
          empty={(view) => <Empty view={view} exam={exam} images={images} />}
        />
      </div>
      <ExamPanel exam={exam} onExam={set} />
    </DropTarget>
  );
}

function Empty({ view, exam, images }: { view: View; exam: Exam; images: Images }) {
  const { t } = useWords();
  const there = exam.views.some((each) => each.view === view);
  return <span>{t(there && images.loading ? 'viewer.loading' : 'viewer.no-image')}</span>;
}

/** Shows those of the dropped files that are this exam's. */
async function showDropped(exam: Exam, images: Images, files: File[]): Promise<boolean> {
  const matched = await matchFiles(exam.views, files);
  for (const [view, file] of matched) images.add(view, await readItem(file));
  return matched.size > 0;
}
