// Makes DICOM files of PNGs that `cloister synthetic` drew: exam.ts FOLDER, with R-CC.png and so on in it, writes FOLDER/exam.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { VIEWS } from '../../src/api/types';
import type { View } from '../../src/api/types';
import { mammogram } from './dicom';
import type { Mammogram } from './dicom';

/** Which side and direction a view has, and how its files say which way they face. */
export function directions(view: View): { side: 'L' | 'R'; direction: 'CC' | 'MLO'; orientation: string } {
  const [side, direction] = view.split('-') as ['L' | 'R', 'CC' | 'MLO'];
  const columns = direction === 'MLO' ? 'F' : side === 'L' ? 'R' : 'L';
  return { side, direction, orientation: `${side === 'L' ? 'A' : 'P'}\\${columns}` };
}

/** One view's drawing as a DICOM file. */
export function drawing(view: View, bytes: Buffer, change: Partial<Mammogram> = {}): Buffer {
  const png = decode(bytes);
  return mammogram({ ...directions(view), rows: png.height, columns: png.width, pixels: png.data as Uint16Array, ...change });
}

const [folder] = process.argv[1]?.endsWith('exam.mjs') === true ? process.argv.slice(2) : [];
if (folder !== undefined) {
  mkdirSync(join(folder, 'exam'), { recursive: true });
  // Names as files from a PACS have them: they say nothing.
  VIEWS.forEach((view, at) => writeFileSync(join(folder, 'exam', `IM${at}.dcm`), drawing(view, readFileSync(join(folder, `${view}.png`)))));
}
