// Greys before they are shown: turned the way that they hang, MONOCHROME1 shown right, and a window that shows the breast.

import type { View } from '../api/types';
import { flipFor } from '../dicom/hanging';
import type { Flip } from '../dicom/hanging';
import type { Facts } from '../dicom/tags';

export type Greys = Uint8Array | Uint16Array | Int16Array;

export interface Hung {
  greys: Greys;
  rows: number;
  columns: number;
  flip: Flip;
  window: { lower: number; upper: number };
  lowest: number;
  highest: number;
}

/** How far apart the pixels are that decide on window and side: enough of a picture of thirteen million, in a few milliseconds. */
const SAMPLE_STEP = 7;

/** A window from the darkest to the brightest tissue: all but 1 % at the dark end and 0.3 % at the bright one, where calcifications are. */
const DARK_SHARE = 0.01;
const BRIGHT_SHARE = 0.003;

/** Turns greys in place, as `view` hangs. */
export function hang(greys: Greys, rows: number, columns: number, view: View, facts: Facts | null): Hung {
  if (facts !== null) normalise(greys, facts);
  const sample = sampled(greys, rows, columns);
  const flip = flipFor(view, facts, sample.tissue);
  if (flip.horizontal) mirrorRows(greys, columns);
  if (flip.vertical) swapRows(greys, rows, columns);
  return {
    greys,
    rows,
    columns,
    flip,
    window: windowFor(sample, facts),
    lowest: sample.lowest,
    highest: sample.highest,
  };
}

/** Padding becomes the background, and MONOCHROME1 is turned around, as the enclave does it. */
function normalise(greys: Greys, facts: Facts): void {
  const { padding, inverted } = facts;
  if (padding === null && !inverted) return;
  const [from, to] = padding ?? [1, 0];
  const signed = greys instanceof Int16Array;
  const top = signed ? -1 : 2 ** facts.bitsStored - 1;
  for (let at = 0; at < greys.length; at++) {
    const grey = greys[at] ?? 0;
    if (grey >= from && grey <= to) greys[at] = 0;
    else if (inverted) greys[at] = top - grey;
  }
}

interface Sample {
  values: Float64Array;
  lowest: number;
  highest: number;
  tissue: { left: number; right: number };
}

/** A grid of greys, in order, with their extremes, and how bright each half is. */
function sampled(greys: Greys, rows: number, columns: number): Sample {
  const across = Math.ceil(columns / SAMPLE_STEP);
  const values = new Float64Array(across * Math.ceil(rows / SAMPLE_STEP));
  const tissue = { left: 0, right: 0 };
  let n = 0;
  for (let row = 0; row < rows; row += SAMPLE_STEP) {
    for (let column = 0; column < columns; column += SAMPLE_STEP) {
      const grey = greys[row * columns + column] ?? 0;
      values[n++] = grey;
      if (column * 2 < columns) tissue.left += grey;
      else tissue.right += grey;
    }
  }
  const sorted = values.subarray(0, n).sort();
  return { values: sorted, lowest: sorted[0] ?? 0, highest: sorted[n - 1] ?? 0, tissue };
}

/** The file's own window, where it has one for greys that were not turned around; otherwise one of the tissue's greys. */
export function windowFor(sample: Pick<Sample, 'values' | 'lowest' | 'highest'>, facts: Facts | null): { lower: number; upper: number } {
  if (facts?.window) {
    const { center, width } = facts.window;
    const middle = facts.inverted ? 2 ** facts.bitsStored - 1 - center : center;
    return { lower: middle - width / 2, upper: middle + width / 2 };
  }
  const { values, lowest, highest } = sample;
  // What is not background: above a thirtieth of the range.
  const floor = lowest + (highest - lowest) / 30;
  let first = 0;
  while (first < values.length && (values[first] ?? 0) <= floor) first++;
  const tissue = values.subarray(first);
  if (tissue.length < 2) return { lower: lowest, upper: Math.max(highest, lowest + 1) };
  const lower = tissue[Math.floor(tissue.length * DARK_SHARE)] ?? lowest;
  const upper = tissue[Math.floor((tissue.length - 1) * (1 - BRIGHT_SHARE))] ?? highest;
  return { lower, upper: Math.max(upper, lower + 1) };
}

/** A picture with one grey, their mean, for each square of `by` times `by`; what is left at the right and lower edges is left out. */
export function reduced(greys: Greys, rows: number, columns: number, by: number): { greys: Greys; rows: number; columns: number } {
  const [down, across] = [Math.floor(rows / by), Math.floor(columns / by)];
  const made = new (greys.constructor as Uint16ArrayConstructor)(down * across);
  const sums = new Float64Array(across);
  for (let row = 0; row < down; row++) {
    sums.fill(0);
    for (let line = row * by; line < (row + 1) * by; line++) {
      let at = line * columns;
      for (let column = 0; column < across; column++) {
        let sum = 0;
        for (let step = 0; step < by; step++) sum += greys[at++] ?? 0;
        sums[column] = (sums[column] ?? 0) + sum;
      }
    }
    for (let column = 0; column < across; column++) made[row * across + column] = Math.round((sums[column] ?? 0) / (by * by));
  }
  return { greys: made, rows: down, columns: across };
}

function mirrorRows(greys: Greys, columns: number): void {
  for (let start = 0; start < greys.length; start += columns) greys.subarray(start, start + columns).reverse();
}

function swapRows(greys: Greys, rows: number, columns: number): void {
  for (let top = 0, bottom = rows - 1; top < bottom; top++, bottom--) {
    const kept = greys.slice(top * columns, (top + 1) * columns);
    greys.copyWithin(top * columns, bottom * columns, (bottom + 1) * columns);
    greys.set(kept, bottom * columns);
  }
}
