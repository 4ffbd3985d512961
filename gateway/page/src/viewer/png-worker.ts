// Decodes a PNG away from the page's own thread.

import { decode } from 'fast-png';

export interface Decoded {
  greys: Uint8Array | Uint16Array;
  rows: number;
  columns: number;
}

/** The most pixels that are decoded: what an enclave takes. */
const MOST_PIXELS = 32 * 1024 * 1024;

function grey(bytes: ArrayBuffer): Decoded {
  // Width and height stand at the same place in each PNG.
  const head = new DataView(bytes, 0, 24);
  if (head.getUint32(16) * head.getUint32(20) > MOST_PIXELS) throw new Error('too many pixels');
  const png = decode(new Uint8Array(bytes));
  if (png.palette !== undefined || png.channels > 2) throw new Error('a picture in colour');
  if (png.data instanceof Uint8ClampedArray || (png.depth !== 8 && png.depth !== 16)) throw new Error('fewer than 8 bits');
  let greys: Uint8Array | Uint16Array = png.data;
  if (png.channels === 2) greys = greys.filter((_, at) => at % 2 === 0);
  return { greys, rows: png.height, columns: png.width };
}

self.addEventListener('message', (event: MessageEvent<{ id: number; bytes: ArrayBuffer }>) => {
  const { id, bytes } = event.data;
  try {
    const decoded = grey(bytes);
    self.postMessage({ id, decoded }, { transfer: [decoded.greys.buffer] });
  } catch (error) {
    self.postMessage({ id, failure: error instanceof Error ? error.message : 'unreadable' });
  }
});
