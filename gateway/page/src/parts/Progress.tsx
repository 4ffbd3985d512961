// How far an exam is, step by step, told to screen readers as it changes.

import type { Exam } from '../api/types';
import { isOver, steps } from '../exam/reading';
import type { StepState } from '../exam/reading';
import { useWords } from '../i18n';
import { Icon } from './Icon';
import type { IconName } from './Icon';

const ICONS: Record<StepState, IconName> = { done: 'check', now: 'clock', ahead: 'dash', failed: 'cross' };

export function Progress({ exam }: { exam: Exam }) {
  const { t, clock } = useWords();
  const waiting = exam.state === 'received' && exam.position !== null && exam.position > 0;
  return (
    <section class="panel-section" aria-labelledby="progress-title">
      <h2 id="progress-title">{t('exam.progress')}</h2>
      <ol class="steps">
        {steps(exam).map(({ step, state, at }) => (
          <li key={step} class={`step step-${state}`} aria-current={state === 'now' ? 'step' : undefined}>
            <span class="step-mark">
              <Icon name={ICONS[state]} />
            </span>
            <span>
              {t(`step.${step}`)}
              {step === 'received' && waiting && <span class="quiet"> · {t('step.position', { n: exam.position ?? 0 })}</span>}
            </span>
            {at !== null && <time dateTime={at}>{clock(at)}</time>}
          </li>
        ))}
      </ol>
      {!isOver(exam.state) && <div class="working" role="progressbar" aria-label={t(`state.${exam.state}`)} />}
      <p class="hidden" role="status">
        {t('exam.announce', { label: exam.label, state: t(`state.${exam.state}`) })}
      </p>
    </section>
  );
}
