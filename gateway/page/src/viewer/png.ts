// Asks the worker for a PNG's greys.

import type { Decoded } from './png-worker';

let worker: Worker | null = null;
let next = 1;
const waiting = new Map<number, { resolve: (decoded: Decoded) => void; reject: (error: Error) => void }>();

function theWorker(): Worker {
  if (worker !== null) return worker;
  worker = new Worker(new URL('./png-worker.ts', import.meta.url), { type: 'module' });
  worker.addEventListener('message', (event: MessageEvent<{ id: number; decoded?: Decoded; failure?: string }>) => {
    const { id, decoded, failure } = event.data;
    const asked = waiting.get(id);
    waiting.delete(id);
    if (decoded) asked?.resolve(decoded);
    else asked?.reject(new Error(failure ?? 'unreadable'));
  });
  worker.addEventListener('error', () => {
    for (const asked of waiting.values()) asked.reject(new Error('the worker that decodes ended'));
    waiting.clear();
    worker = null;
  });
  return worker;
}

export async function decodePng(file: Blob): Promise<Decoded> {
  const bytes = await file.arrayBuffer();
  const id = next++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    theWorker().postMessage({ id, bytes }, [bytes]);
  });
}
