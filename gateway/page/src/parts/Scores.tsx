// Scores for each breast, against the hospital's operating point: in words, then as a bar with the point marked, then as numbers.

import type { Exam, OperatingPoint } from '../api/types';
import { readings } from '../exam/reading';
import type { Reading } from '../exam/reading';
import { useWords } from '../i18n';
import { Icon } from './Icon';

export function Scores({ exam }: { exam: Exam }) {
  const { t, score, known } = useWords();
  const point = exam.operating_point;
  return (
    <section class="panel-section scores" aria-labelledby="scores-title">
      <h2 id="scores-title">{t('exam.scores')}</h2>
      <div class="breasts">
        {readings(exam).map((reading) => (
          <Breast key={reading.side} reading={reading} point={point} />
        ))}
      </div>
      <p class="quiet">
        {point === null
          ? t('exam.no-point.meaning')
          : t('exam.point.meaning', {
              name: point.name === '' ? t('exam.point') : point.name,
              label: known('label', point.label) ?? point.label,
              value: score(point.malignant),
            })}
      </p>
      <p class="quiet">{t('exam.not-probability')}</p>
    </section>
  );
}

function Breast({ reading, point }: { reading: Reading; point: OperatingPoint | null }) {
  const { t } = useWords();
  const { side, reached, views } = reading;
  if (reading.score === null) {
    return (
      <div class="breast breast-none" data-side={side}>
        <h3>{t(`side.${side}`)}</h3>
        <p class="quiet">{t(views.length > 0 ? 'exam.one-view' : 'exam.no-views')}</p>
        <ViewScores reading={reading} />
      </div>
    );
  }
  const verdict = reached === null ? 'none' : reached ? 'above' : 'below';
  return (
    <div class={`breast breast-${verdict}`} data-side={side} data-verdict={verdict}>
      <h3>{t(`side.${side}`)}</h3>
      <p class="verdict">
        {verdict !== 'none' && <Icon name={verdict} />}
        <strong>{verdict === 'none' ? t('exam.no-point') : t(`exam.${verdict}`)}</strong>
      </p>
      <Bar value={reading.score} point={point} />
      <ViewScores reading={reading} />
    </div>
  );
}

function ViewScores({ reading }: { reading: Reading }) {
  const { t, score, known } = useWords();
  const { views, others } = reading;
  if (views.length === 0) return null;
  return (
    <table class="view-scores">
      <caption class="hidden">{t('exam.per-view')}</caption>
      <tbody>
        {views.map((each) => (
          <tr key={each.view}>
            <th scope="row">{t(`view.${each.view}`)}</th>
            <td>{score(each.score)}</td>
          </tr>
        ))}
        {others.map(([name, value]) => (
          <tr key={name} class="other">
            <th scope="row">{known('label', name) ?? name}</th>
            <td>{score(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Bar({ value, point }: { value: number; point: OperatingPoint | null }) {
  const { t, score } = useWords();
  const percent = (part: number) => `${Math.min(100, Math.max(0, part * 100)).toFixed(1)}%`;
  const said = point === null ? score(value) : t('exam.score.of', { score: score(value), point: score(point.malignant) });
  return (
    <div class="bar-row">
      <div class="bar" role="img" aria-label={said}>
        <div class="bar-fill" style={{ width: percent(value) }} />
        {point !== null && <div class="bar-point" style={{ left: percent(point.malignant) }} />}
      </div>
      <span class="bar-value">{score(value)}</span>
    </div>
  );
}
