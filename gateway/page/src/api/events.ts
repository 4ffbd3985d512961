// The gateway's stream of changes. A browser's EventSource gives up on a refusal, so this one tries again.

import type { Enclaves, Exam } from './types';

/** The first wait after a stream that ended, in milliseconds; it doubles. */
const FIRST_WAIT_MS = 1_000;

/** No wait is longer, so that a gateway that comes back is found soon. */
const LONGEST_WAIT_MS = 15_000;

export interface Heard {
  exam: (exam: Exam) => void;
  enclaves: (enclaves: Enclaves) => void;
  deleted: (id: string) => void;
  /** The stream is there (again): what was missed has to be asked for. */
  open: () => void;
  lost: () => void;
}

export function listen(heard: Heard): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = FIRST_WAIT_MS;
  let ended = false;

  const start = () => {
    const stream = new EventSource('/api/v1/events');
    source = stream;
    stream.addEventListener('open', () => {
      wait = FIRST_WAIT_MS;
      heard.open();
    });
    stream.addEventListener('exam', (event: MessageEvent<string>) => heard.exam(JSON.parse(event.data) as Exam));
    stream.addEventListener('enclaves', (event: MessageEvent<string>) => heard.enclaves(JSON.parse(event.data) as Enclaves));
    stream.addEventListener('deleted', (event: MessageEvent<string>) => heard.deleted((JSON.parse(event.data) as { id: string }).id));
    // Too much changed for the stream to tell all of it.
    stream.addEventListener('missed', heard.open);
    stream.addEventListener('error', () => {
      stream.close();
      if (ended) return;
      heard.lost();
      timer = setTimeout(start, wait);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    });
  };
  start();
  return () => {
    ended = true;
    clearTimeout(timer);
    source?.close();
  };
}
