// What the whole page shares: who is signed in, the enclaves, the connection to the gateway, and news of exams.

import * as api from '../api/client';
import { listen } from '../api/events';
import { OFFLINE, Problem } from '../api/problem';
import type { Enclaves, Exam, Session } from '../api/types';
import { store } from './store';

export const session = store<Session | null>(null);
export const enclaves = store<Enclaves | null>(null);

/** Whether the gateway answers. */
export const connected = store(true);

/** Whether the last session was ended on purpose. */
export const signedOut = store(false);

/** Why the session could not be read at all, at the start. */
export const startProblem = store<Problem | null>(null);

/** Counts each time that the stream of changes came back: whoever shows an exam asks for it anew. */
export const reconnections = store(0);

const examWatchers = new Set<(exam: Exam) => void>();
const deletionWatchers = new Set<(id: string) => void>();

/** Calls back with each exam that changes. */
export function onExam(seen: (exam: Exam) => void): () => void {
  examWatchers.add(seen);
  return () => examWatchers.delete(seen);
}

/** Calls back with the identifier of each exam that is deleted. */
export function onDeleted(seen: (id: string) => void): () => void {
  deletionWatchers.add(seen);
  return () => deletionWatchers.delete(seen);
}

/** Whether somebody is signed in, or nobody has to be. */
export function mayUse(now: Session | null): boolean {
  return now !== null && (now.user !== null || now.sign_in === 'none');
}

export async function refreshSession(): Promise<void> {
  try {
    session.set(await api.session());
    startProblem.set(null);
    connected.set(true);
  } catch (error) {
    noticeProblem(error);
    if (session.get() === null && error instanceof Problem) startProblem.set(error);
  }
}

export async function refreshEnclaves(anew = false): Promise<void> {
  try {
    enclaves.set(await (anew ? api.checkEnclaves() : api.enclaves()));
    connected.set(true);
  } catch (error) {
    noticeProblem(error);
  }
}

/** What a failed request says about the session and the connection, whoever made it. */
export function noticeProblem(error: unknown): void {
  if (!(error instanceof Problem)) return;
  if (error.type === OFFLINE) connected.set(false);
  if (error.status === 401) {
    const now = session.get();
    if (now?.user) session.set({ ...now, user: null });
  }
}

export async function endSession(): Promise<void> {
  signedOut.set(true);
  await api.signOut().catch(noticeProblem);
  session.set(null);
  enclaves.set(null);
  await refreshSession();
}

/** Listens while somebody may use the page; gives back how to stop. */
export function follow(): () => void {
  void refreshEnclaves();
  let first = true;
  return listen({
    exam: (exam) => {
      for (const seen of [...examWatchers]) seen(exam);
    },
    enclaves: (now) => enclaves.set(now),
    deleted: (id) => {
      for (const seen of [...deletionWatchers]) seen(id);
    },
    open: () => {
      connected.set(true);
      if (!first) {
        void refreshSession();
        reconnections.update((n) => n + 1);
        void refreshEnclaves();
      }
      first = false;
    },
    lost: () => {
      connected.set(false);
      // It may be the session that ended, and not the connection.
      void refreshSession();
    },
  });
}
