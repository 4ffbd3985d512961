// What an exam's answer says, read for the screen: scores against the operating point, progress, files that can be shown.

import { SIDES } from '../api/types';
import type { Exam, ExamState, ExamView, OperatingPoint, Scores, Side, View } from '../api/types';

/** The label that an operating point is about, unless it names another. */
const MALIGNANT = 'malignant';

export interface Reading {
  side: Side;
  /** Null where no view of this breast was scored. */
  score: number | null;
  /** Whether the score reaches the operating point; null without one. */
  reached: boolean | null;
  label: string;
  views: { view: View; score: number }[];
  others: [string, number][];
}

/** The label whose score is held against the operating point. */
export function decisive(point: OperatingPoint | null, scores: Scores): string {
  if (point !== null && point.label in scores) return point.label;
  return MALIGNANT in scores ? MALIGNANT : (Object.keys(scores)[0] ?? MALIGNANT);
}

/** As the enclave's results decide it: a score that equals the operating point reaches it. */
export function reaches(point: OperatingPoint, score: number): boolean {
  return score >= point.malignant;
}

export function readings(exam: Pick<Exam, 'breasts' | 'views' | 'operating_point'>): Reading[] {
  const point = exam.operating_point;
  return SIDES.map((side) => {
    const scores = exam.breasts?.[side]?.scores ?? null;
    const own = exam.views.find((view) => view.view !== null && sideOf(view.view) === side && view.scores !== null);
    const label = decisive(point, scores ?? own?.scores ?? {});
    const score = scores?.[label] ?? null;
    return {
      side,
      score,
      reached: point === null || score === null ? null : reaches(point, score),
      label,
      views: exam.views.flatMap((view) => viewScore(view, side, label)),
      others: Object.entries(scores ?? {}).filter(([name]) => name !== label),
    };
  });
}

function viewScore(view: ExamView, side: Side, label: string): { view: View; score: number }[] {
  const score = view.scores?.[label];
  if (view.view === null || score === undefined || sideOf(view.view) !== side) return [];
  return [{ view: view.view, score }];
}

export function sideOf(view: View): Side {
  return view.startsWith('R') ? 'right' : 'left';
}

/** The states that an exam goes through when all is well. */
export const WAY = ['received', 'verified', 'sent', 'answered', 'delivered'] as const satisfies readonly ExamState[];
export type Step = (typeof WAY)[number];

export type StepState = 'done' | 'now' | 'ahead' | 'failed';

/** How far an exam is: each step of its way, and when it was reached. */
export function steps(exam: Pick<Exam, 'state' | 'steps' | 'results'>): { step: Step; state: StepState; at: string | null }[] {
  const reached = (step: Step) => exam.steps.find((each) => each.state === step)?.at ?? null;
  const ended = exam.state === 'failed' || exam.state === 'abstained';
  // Whether a gateway delivers at all shows once it has.
  const delivers = exam.state === 'delivered' || exam.results.some((result) => result.delivered_to !== null);
  const way = WAY.filter((step) => step !== 'delivered' || delivers);
  const furthest = ended ? way.findLastIndex((step) => reached(step) !== null) : way.findIndex((step) => step === exam.state);
  return way
    .filter((_, at) => !ended || at <= furthest)
    .map((step, at) => {
      const last = !ended && at === furthest && !isOver(exam.state);
      const state: StepState = last ? 'now' : at <= furthest ? 'done' : 'ahead';
      return { step, state, at: reached(step) };
    });
}

/** Whether nothing more is to be waited for, but delivery. */
export function isOver(state: ExamState): boolean {
  return state === 'answered' || state === 'delivered' || state === 'failed' || state === 'abstained';
}

/** All findings of an exam, each with the views that it is about. */
export function allFindings(exam: Pick<Exam, 'findings' | 'views'>): { finding: string; views: View[] }[] {
  const found = new Map<string, View[]>();
  for (const finding of exam.findings) found.set(finding, []);
  for (const { view, findings } of exam.views) {
    for (const finding of findings) found.set(finding, [...(found.get(finding) ?? []), ...(view === null ? [] : [view])]);
  }
  return [...found].map(([finding, views]) => ({ finding, views }));
}

/** Which views of an exam files are, by the digests of their bytes. */
export async function matchFiles(views: ExamView[], files: File[]): Promise<Map<View, File>> {
  const matched = new Map<View, File>();
  for (const file of files) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()));
    const hex = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    const view = views.find((each) => each.sha256.toLowerCase() === hex)?.view;
    if (view) matched.set(view, file);
  }
  return matched;
}
