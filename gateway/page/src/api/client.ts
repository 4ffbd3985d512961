// The gateway's API, as functions. Every refusal is a Problem.

import { OFFLINE, Problem, problemFrom } from './problem';
import type { Enclaves, Exam, ExamList, ReceiptVerdict, Session, View } from './types';

const BASE = '/api/v1';

/** How long an answer may take that is not an upload or a file: 30 seconds. */
const PATIENCE_MS = 30_000;

/** A file of an exam may take longer: it has tens of megabytes, and hospital networks are busy. */
const FILE_PATIENCE_MS = 300_000;

let csrf = '';

/** What the gateway wants back with each change; it comes with the session. */
export function keepCsrf(value: string): void {
  csrf = value;
}

export function csrfHeader(): Record<string, string> {
  return { 'x-cloister-csrf': csrf };
}

/** As below, and once more with a new session's word where the old one no longer counts: the gateway was begun anew meanwhile. */
async function ask(method: string, path: string, body?: BodyInit, type?: string, patience = PATIENCE_MS): Promise<Response> {
  try {
    return await askOnce(method, path, body, type, patience);
  } catch (error) {
    if (!(error instanceof Problem) || error.type !== 'not-meant') throw error;
    await session();
    return askOnce(method, path, body, type, patience);
  }
}

async function askOnce(
  method: string,
  path: string,
  body: BodyInit | undefined,
  type: string | undefined,
  patience: number,
): Promise<Response> {
  const headers: Record<string, string> = method === 'GET' ? {} : csrfHeader();
  if (type !== undefined) headers['content-type'] = type;
  let answer: Response;
  try {
    answer = await fetch(`${BASE}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(patience),
    });
  } catch {
    throw new Problem(OFFLINE, '', 0);
  }
  if (!answer.ok) throw problemFrom(answer.status, await answer.text().catch(() => ''), answer.headers.get('retry-after'));
  return answer;
}

async function json<T>(method: string, path: string, body?: BodyInit, type?: string): Promise<T> {
  const answer = await ask(method, path, body, type);
  return (await answer.json()) as T;
}

function remembered(session: Session): Session {
  keepCsrf(session.csrf);
  return session;
}

export async function session(): Promise<Session> {
  return remembered(await json<Session>('GET', '/session'));
}

export async function signIn(user: string, password: string): Promise<Session> {
  return remembered(await json<Session>('POST', '/session', JSON.stringify({ user, password }), 'application/json'));
}

export async function signOut(): Promise<void> {
  await ask('DELETE', '/session');
}

/** Where a browser goes to sign in at the hospital's own provider. */
export const OIDC_URL = `${BASE}/session/oidc`;

export function enclaves(): Promise<Enclaves> {
  return json<Enclaves>('GET', '/enclaves');
}

export function checkEnclaves(): Promise<Enclaves> {
  return json<Enclaves>('POST', '/enclaves/check');
}

export interface ListQuery {
  limit?: number;
  before?: string;
  state?: string;
  q?: string;
}

export function exams(query: ListQuery): Promise<ExamList> {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') words.set(name, String(value));
  }
  const text = words.toString();
  return json<ExamList>('GET', text === '' ? '/exams' : `/exams?${text}`);
}

export function exam(id: string): Promise<Exam> {
  return json<Exam>('GET', `/exams/${encodeURIComponent(id)}`);
}

export function retryExam(id: string): Promise<Exam> {
  return json<Exam>('POST', `/exams/${encodeURIComponent(id)}/retry`);
}

export async function deleteExam(id: string): Promise<void> {
  await ask('DELETE', `/exams/${encodeURIComponent(id)}`);
}

export async function examFile(id: string, file: number): Promise<Blob> {
  const answer = await ask('GET', `/exams/${encodeURIComponent(id)}/files/${file}`, undefined, undefined, FILE_PATIENCE_MS);
  return answer.blob();
}

export async function examMap(id: string, view: View): Promise<Blob> {
  const answer = await ask('GET', `/exams/${encodeURIComponent(id)}/views/${view}/map`);
  return answer.blob();
}

export function receiptUrl(id: string): string {
  return `${BASE}/exams/${encodeURIComponent(id)}/receipt`;
}

export function reportUrl(id: string): string {
  return `${BASE}/exams/${encodeURIComponent(id)}/report`;
}

export function resultUrl(id: string, result: string): string {
  return `${BASE}/exams/${encodeURIComponent(id)}/results/${encodeURIComponent(result)}`;
}

export function checkReceipt(bytes: Blob): Promise<ReceiptVerdict> {
  return json<ReceiptVerdict>('POST', '/receipts/check', bytes, 'application/cose');
}
