import { describe, expect, it } from 'vitest';
import type { Exam, ExamState, ExamView } from '../src/api/types';
import { allFindings, matchFiles, readings, steps } from '../src/exam/reading';

const POINT = { label: 'malignant', malignant: 0.5, name: 'screening' };
const view = (change: Partial<ExamView>): ExamView => ({
  view: 'R-CC',
  file: 0,
  media: 'dicom',
  bytes: 1,
  rows: 1,
  columns: 1,
  scores: null,
  findings: [],
  has_map: false,
  sha256: '',
  ...change,
});
const answer = (right: number, left: number | null): Pick<Exam, 'breasts' | 'views' | 'operating_point'> => ({
  breasts: {
    right: { scores: { malignant: right, benign: 0.3 } },
    left: left === null ? null : { scores: { malignant: left, benign: 0.1 } },
  },
  views: [view({ view: 'R-CC', scores: { malignant: 0.4, benign: 0.2 } }), view({ view: 'L-CC', scores: { malignant: 0.1, benign: 0.2 } })],
  operating_point: POINT,
});

describe('scores of an exam', () => {
  it('are held against the operating point, which is reached when it is equalled', () => {
    expect(readings(answer(0.5, 0.4999)).map(({ side, reached }) => [side, reached])).toEqual([
      ['right', true],
      ['left', false],
    ]);
  });

  it('come with those of each view of that breast, and the other labels', () => {
    expect(readings(answer(0.4, 0.1))[0]).toMatchObject({ views: [{ view: 'R-CC', score: 0.4 }], others: [['benign', 0.3]] });
  });

  it('of a breast without both views are those of its view alone', () => {
    expect(readings(answer(0.4, null))[1]).toMatchObject({ score: null, reached: null, views: [{ view: 'L-CC', score: 0.1 }] });
  });

  it('are neither above nor below without an operating point', () => {
    expect(readings({ ...answer(0.9, 0.9), operating_point: null }).map(({ reached }) => reached)).toEqual([null, null]);
  });
});

const way = (state: ExamState, reached: string[]) =>
  steps({ state, steps: reached.map((each) => ({ state: each, at: `at ${each}` })), results: [] }).map(
    ({ step, state: is }) => `${step} ${is}`,
  );

describe('the way of an exam', () => {
  it('shows what is done, what is going on and what is ahead', () => {
    expect(way('verified', ['received', 'verified'])).toEqual(['received done', 'verified now', 'sent ahead', 'answered ahead']);
  });

  it('is done when it is answered', () => {
    expect(way('answered', ['received', 'verified', 'sent', 'answered'])).toEqual([
      'received done',
      'verified done',
      'sent done',
      'answered done',
    ]);
  });

  it('ends where it failed', () => {
    expect(way('failed', ['received', 'verified', 'failed'])).toEqual(['received done', 'verified done']);
  });

  it('has delivery in it where something is delivered', () => {
    expect(way('delivered', ['received', 'delivered']).at(-1)).toBe('delivered done');
  });
});

it('gathers findings of several views', () => {
  const views = [view({ view: 'R-CC', findings: ['lossy-compression'] }), view({ view: 'L-CC', findings: ['lossy-compression'] })];
  expect(allFindings({ findings: ['mixed-studies'], views })).toEqual([
    { finding: 'mixed-studies', views: [] },
    { finding: 'lossy-compression', views: ['R-CC', 'L-CC'] },
  ]);
});

it('knows an exam’s files by their digests, whatever they are called', async () => {
  // SHA-256 of "abc", from FIPS 180-2.
  const views = [view({ view: 'L-MLO', sha256: 'BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD' })];
  const file = new File(['abc'], 'R-CC');
  expect([...(await matchFiles(views, [file, new File(['another'], 'other')]))]).toEqual([['L-MLO', file]]);
});
