// Sends an exam, and says how far it is. XMLHttpRequest, because fetch does not tell the progress of what it sends.

import { csrfHeader, session } from './client';
import { OFFLINE, Problem, problemFrom } from './problem';
import type { Exam } from './types';

export interface Part {
  /** `image`, where the file says its view, or the view. */
  name: string;
  file: Blob;
}

export interface Upload {
  done: Promise<Exam>;
  cancel: () => void;
}

/** The answer to what was sent and then taken back. */
export const CANCELLED = 'cancelled';

export function upload(label: string, parts: Part[], allowMissing: boolean, progress: (sent: number, of: number) => void): Upload {
  const form = new FormData();
  if (label !== '') form.append('label', label);
  // The file's own name stays here: it can hold a patient's.
  // The file's own name stays here: it can hold a patient's. Where there is no label, an exam may be called by this one.
  for (const part of parts) form.append(part.name, part.file, 'exam');

  const request = new XMLHttpRequest();
  let cancelled = false;
  const sent = new Promise<Exam>((resolve, reject) => {
    request.upload.addEventListener('progress', (event) => {
      if (event.lengthComputable) progress(event.loaded, event.total);
    });
    request.addEventListener('load', () => {
      if (request.status === 201) {
        resolve(JSON.parse(request.responseText) as Exam);
      } else {
        reject(problemFrom(request.status, request.responseText, request.getResponseHeader('retry-after')));
      }
    });
    request.addEventListener('error', () => reject(new Problem(OFFLINE, '', 0)));
    request.addEventListener('abort', () => reject(new Problem(CANCELLED, '', 0)));
  });
  // A hundred megabytes are not sent to find out that nobody is signed in any more, or that nobody is there.
  const done = session().then(({ user, sign_in }) => {
    if (user === null && sign_in !== 'none') throw new Problem('signed-out', '', 401);
    if (cancelled) throw new Problem(CANCELLED, '', 0);
    request.open('POST', `/api/v1/exams${allowMissing ? '?missing=allow' : ''}`);
    for (const [name, value] of Object.entries(csrfHeader())) request.setRequestHeader(name, value);
    request.send(form);
    return sent;
  });
  const cancel = () => {
    cancelled = true;
    request.abort();
  };
  return { done, cancel };
}
