// The images and maps of an exam that was sent: kept files where it was sent from here, else the gateway's.

import { useEffect, useMemo, useState } from 'preact/hooks';
import * as api from '../api/client';
import { Problem } from '../api/problem';
import { VIEWS } from '../api/types';
import type { Exam, View } from '../api/types';
import { readItem } from '../exam/draft';
import type { Item } from '../exam/draft';
import { noticeProblem } from '../state/page';
import { keepFiles, keptFiles } from '../state/drafts';
import type { Source } from '../viewer/pane';
import { sourcesOf } from './NewExam';

type Items = Partial<Record<View, Item>>;

export interface Images {
  sources: Record<View, Source | null>;
  loading: boolean;
  /** The gateway has them no longer. */
  deleted: boolean;
  add: (view: View, item: Item) => void;
}

export function useImages(exam: Exam): Images {
  const [items, setItems] = useState<Items>(() => keptFiles(exam.id) ?? {});
  const [loading, setLoading] = useState(false);
  const [gone, setGone] = useState(false);
  const files = exam.views.flatMap(({ view, file }) => (view === null ? [] : [{ view, file }]));
  const wanted = files.map(({ view, file }) => `${view}:${file}`).join();

  useEffect(() => {
    let current = true;
    const kept = keptFiles(exam.id) ?? {};
    setItems(kept);
    setGone(!exam.images_kept);
    const missing = files.filter(({ view }) => kept[view] === undefined);
    if (!exam.images_kept || missing.length === 0) return;
    setLoading(true);
    const one = async ({ view, file }: { view: View; file: number }) => {
      const item = await fetched(exam.id, view, file);
      if (current) setItems((now) => ({ ...now, [view]: item }));
    };
    void Promise.all(missing.map((each) => one(each)))
      .catch((error: unknown) => {
        noticeProblem(error);
        if (current && error instanceof Problem && error.status === 410) setGone(true);
      })
      .finally(() => {
        if (current) setLoading(false);
      });
    return () => {
      current = false;
    };
    // Images that are deleted while they are looked at stay on the screen.
  }, [exam.id, wanted]);

  const keys = VIEWS.map((view) => items[view]?.key ?? '').join();
  const sources = useMemo(() => sourcesOf(items), [keys]);
  const add = (view: View, item: Item) =>
    setItems((now) => {
      const next = { ...now, [view]: { ...item, view } };
      keepFiles(exam.id, next);
      return next;
    });
  return { sources, loading, deleted: gone && Object.keys(items).length === 0, add };
}

async function fetched(id: string, view: View, file: number): Promise<Item> {
  const blob = await api.examFile(id, file);
  return { ...(await readItem(new File([blob], view))), view };
}

/** The maps, fetched once they are there. */
export function useMaps(exam: Exam): Partial<Record<View, Blob>> {
  const [maps, setMaps] = useState<Partial<Record<View, Blob>>>({});
  const wanted = exam.views
    .filter((view) => view.has_map && view.view !== null)
    .map((view) => view.view)
    .join();
  useEffect(() => {
    let current = true;
    setMaps({});
    for (const view of VIEWS.filter((each) => wanted.split(',').includes(each))) {
      api.examMap(exam.id, view).then((map) => {
        if (current) setMaps((now) => ({ ...now, [view]: map }));
      }, noticeProblem);
    }
    return () => {
      current = false;
    };
  }, [exam.id, wanted]);
  return maps;
}
