// An exam before it is sent: which files were dropped, which view each is, and what stands in the way of sending them.

import { VIEWS } from '../api/types';
import type { View } from '../api/types';
import type { Part } from '../api/upload';
import { isDicom, isPng, readFacts } from '../dicom/tags';
import type { Facts } from '../dicom/tags';

export type Media = 'dicom' | 'png' | 'other';

export interface Item {
  key: number;
  file: File;
  media: Media;
  /** Of a DICOM file that could be read. */
  facts: Facts | null;
  /** The file's, or what a person chose for a PNG. */
  view: View | null;
  /** Why the picture could not be drawn, once it was tried. */
  unreadable: boolean;
}

/** The most that a file may have: what an enclave takes, 40 MiB. */
export const LONGEST_FILE = 40 * 1024 * 1024;

/** The most files that are looked at together: four views, and some that were dropped by mistake. */
export const MOST_FILES = 12;

/** How much of a file is read for its tags: they stand before the pixels. */
const TAG_BYTES = 1024 * 1024;

export type FindingId =
  | 'not-an-image'
  | 'file-too-large'
  | 'unreadable'
  | 'no-view'
  | 'choose-view'
  | 'duplicate-view'
  | 'not-a-mammogram'
  | 'for-processing'
  | 'other-patient'
  | 'other-study'
  | 'missing-view';

export interface Finding {
  id: FindingId;
  /** The files that it is about. */
  items: Item[];
  /** The views that it is about. */
  views: View[];
  /** Whether the exam cannot be sent because of it. */
  blocks: boolean;
}

export interface Hanging {
  slots: Record<View, Item | null>;
  findings: Finding[];
  /** The views that nothing was dropped for. */
  missing: View[];
  ready: boolean;
}

let nextKey = 1;

/** Reads what a dropped file is. Nothing leaves the browser. */
export async function readItem(file: File): Promise<Item> {
  const item: Item = { key: nextKey++, file, media: 'other', facts: null, view: null, unreadable: false };
  const head = new Uint8Array(await file.slice(0, TAG_BYTES).arrayBuffer());
  if (isPng(head)) return { ...item, media: 'png' };
  if (!isDicom(head)) return item;
  try {
    const facts = factsOf(head) ?? readFacts(new Uint8Array(await file.arrayBuffer()));
    return { ...item, media: 'dicom', facts, view: facts.view };
  } catch {
    return { ...item, media: 'dicom', unreadable: true };
  }
}

/** Null where the beginning of the file does not reach to the pixels. */
function factsOf(head: Uint8Array): Facts | null {
  try {
    return readFacts(head);
  } catch {
    return null;
  }
}

/** Where each file hangs, and what is found. `allowMissing` says that a person wants to send fewer than four. */
export function hangItems(items: Item[], allowMissing = false): Hanging {
  const slots: Hanging['slots'] = { 'R-CC': null, 'L-CC': null, 'R-MLO': null, 'L-MLO': null };
  const findings = [...eachItem(items), ...together(items)];
  for (const view of VIEWS) {
    const shown = items.filter((item) => item.view === view);
    slots[view] = shown[0] ?? null;
    if (shown.length > 1) findings.push({ id: 'duplicate-view', items: shown, views: [view], blocks: true });
  }
  const missing = VIEWS.filter((view) => slots[view] === null);
  if (items.length > 0 && missing.length > 0) findings.push({ id: 'missing-view', items: [], views: missing, blocks: !allowMissing });
  const ready = missing.length < VIEWS.length && !findings.some((finding) => finding.blocks);
  return { slots, findings, missing, ready };
}

function eachItem(items: Item[]): Finding[] {
  const findings: Finding[] = [];
  const found = (id: FindingId, item: Item, blocks = true) =>
    findings.push({ id, items: [item], views: item.view === null ? [] : [item.view], blocks });
  for (const item of items) {
    if (item.file.size > LONGEST_FILE) found('file-too-large', item);
    if (item.media === 'other') found('not-an-image', item);
    else if (item.unreadable) found('unreadable', item);
    else if (item.media === 'png' && item.view === null) found('choose-view', item);
    else if (item.facts !== null) {
      if (item.facts.modality !== null && item.facts.modality !== 'MG') found('not-a-mammogram', item);
      else if (item.facts.forProcessing) found('for-processing', item);
      else if (item.view === null) found('no-view', item);
    }
  }
  return findings;
}

/** One exam is one patient's, and one study. Files that do not say are held against nobody. */
function together(items: Item[]): Finding[] {
  const differ = (read: (facts: Facts) => string | null) =>
    new Set(items.map((item) => (item.facts === null ? null : read(item.facts))).filter((said) => said !== null)).size > 1;
  const all = items.filter((item) => item.facts !== null);
  if (differ((facts) => facts.patientId)) return [{ id: 'other-patient', items: all, views: [], blocks: true }];
  if (differ((facts) => facts.studyUid)) return [{ id: 'other-study', items: all, views: [], blocks: true }];
  return [];
}

/** What is sent: a DICOM file says its view itself, a PNG goes under the chosen one. */
export function partsOf(hanging: Hanging): Part[] {
  return VIEWS.flatMap((view) => {
    const item = hanging.slots[view];
    return item === null ? [] : [{ name: item.media === 'dicom' ? 'image' : view, file: item.file }];
  });
}

/** A label to begin with: nothing, because a file's name can hold a patient's. */
export function patientOf(items: Item[]): { name: string | null; id: string | null; studyDate: string | null } | null {
  const facts = items.find((item) => item.facts !== null)?.facts;
  return facts ? { name: facts.patient, id: facts.patientId, studyDate: facts.studyDate } : null;
}
