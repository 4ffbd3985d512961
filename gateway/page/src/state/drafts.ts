// The exam that is being put together, and the files of exams that were sent from here. Both live as long as the page.

import type { View } from '../api/types';
import { MOST_FILES, readItem } from '../exam/draft';
import type { Item } from '../exam/draft';
import { store } from './store';

export interface Draft {
  items: Item[];
  label: string;
  allowMissing: boolean;
  /** Files were left out, because there were too many. */
  tooMany: boolean;
}

const EMPTY: Draft = { items: [], label: '', allowMissing: false, tooMany: false };
export const draft = store<Draft>(EMPTY);

export async function addFiles(files: File[]): Promise<void> {
  performance.mark('dropped');
  const room = MOST_FILES - draft.get().items.length;
  const read = await Promise.all(files.slice(0, Math.max(0, room)).map((file) => readItem(file)));
  draft.update((now) => ({ ...now, items: [...now.items, ...read], tooMany: files.length > room }));
}

export function changeItem(key: number, change: Partial<Item>): void {
  draft.update((now) => ({ ...now, items: now.items.map((item) => (item.key === key ? { ...item, ...change } : item)) }));
}

export function removeItem(key: number): void {
  draft.update((now) => ({ ...now, items: now.items.filter((item) => item.key !== key), tooMany: false }));
}

export function clearDraft(): void {
  draft.set(EMPTY);
}

/** The most exams whose files are kept, so that memory is bounded: files on disk are referred to, but a page stays open for days. */
const MOST_KEPT = 8;
const kept = new Map<string, Partial<Record<View, Item>>>();

/** Remembers the files of an exam that was sent, so that they need not come back from the gateway to be looked at. */
export function keepFiles(exam: string, slots: Partial<Record<View, Item>>): void {
  kept.set(exam, slots);
  for (const oldest of kept.keys()) {
    if (kept.size <= MOST_KEPT) break;
    kept.delete(oldest);
  }
}

export function keptFiles(exam: string): Partial<Record<View, Item>> | undefined {
  return kept.get(exam);
}

export function forgetFiles(): void {
  kept.clear();
  clearDraft();
}
