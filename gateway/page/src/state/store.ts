// A value that components watch.

import { useEffect, useState } from 'preact/hooks';

export interface Store<T> {
  get: () => T;
  set: (next: T) => void;
  update: (change: (now: T) => T) => void;
  watch: (seen: (now: T) => void) => () => void;
}

export function store<T>(first: T): Store<T> {
  let value = first;
  const watchers = new Set<(now: T) => void>();
  const set = (next: T) => {
    if (Object.is(next, value)) return;
    value = next;
    for (const seen of [...watchers]) seen(value);
  };
  return {
    get: () => value,
    set,
    update: (change) => set(change(value)),
    watch: (seen) => {
      watchers.add(seen);
      return () => watchers.delete(seen);
    },
  };
}

/** The value now, and again whenever it changes. */
export function useStore<T>(of: Store<T>): T {
  const [value, setValue] = useState(of.get());
  useEffect(() => {
    // What changed between the first drawing and now.
    setValue(() => of.get());
    return of.watch((now) => setValue(() => now));
  }, [of]);
  return value;
}
