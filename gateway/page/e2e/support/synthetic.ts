// Synthetic mammograms as DICOM files, made here so that the stories need no data.

import { VIEWS } from '../../src/api/types.ts';
import type { View } from '../../src/api/types.ts';
import { mammogram } from '../../tests/support/dicom.ts';
import { directions, drawing } from '../../tests/support/exam.ts';
import type { Mammogram } from '../../tests/support/dicom.ts';
import type { System } from './system.ts';

/** Half an ellipse at the chest wall, brighter towards the middle, with some texture. */
export function greys(rows: number, columns: number, wall: 'left' | 'right'): Uint16Array {
  const made = new Uint16Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    const down = ((y - rows / 2) / (0.42 * rows)) ** 2;
    for (let x = 0; x < columns; x++) {
      const across = wall === 'left' ? x : columns - 1 - x;
      const inside = 1 - (across / (0.75 * columns)) ** 2 - down;
      if (inside > 0) made[y * columns + x] = 900 + 2400 * inside + 120 * Math.sin(x / 9) * Math.cos(y / 13);
    }
  }
  return made;
}

/** One view, as a detector writes it: the chest wall is where PatientOrientation says. */
export function dicom(view: View, size: { rows: number; columns: number }, change: Partial<Mammogram> = {}): Buffer {
  const { side, direction, orientation } = directions(view);
  const pixels = greys(size.rows, size.columns, side === 'L' ? 'left' : 'right');
  return mammogram({ side, direction, orientation, bitsStored: 12, pixels, ...size, ...change });
}

/** The four views of a synthetic person, as `cloister synthetic` draws them, with a mass in the right breast alone. */
export function exam(system: System, seed: number, change: Partial<Mammogram> = {}): { name: string; bytes: Buffer }[] {
  return VIEWS.map((view, at) => {
    const whose = { patientId: `SYN-${seed}`, patientName: 'Synthetic^Person', studyUid: `2.25.${seed}` };
    // Names that say nothing, as files from a PACS have.
    return { name: `IM${at}`, bytes: drawing(view, system.drawn(view, seed, view.startsWith('R') ? 1 : 0), { ...whose, ...change }) };
  });
}

/** The same greys with a background that is not black, as some scanned films have. */
export function fogged(pixels: Uint16Array): Uint16Array {
  return pixels.map((grey) => (grey === 0 ? 300 : grey));
}
