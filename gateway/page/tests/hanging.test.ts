import { describe, expect, it } from 'vitest';
import { flipFor } from '../src/dicom/hanging';
import type { Facts } from '../src/dicom/tags';
import { hang, reduced, windowFor } from '../src/viewer/grey';

const EVEN = { left: 1, right: 1 };
const facts = (change: Partial<Facts>): Facts => ({
  view: null,
  rowToward: null,
  columnToward: null,
  inverted: false,
  rows: 0,
  columns: 0,
  bitsStored: 16,
  padding: null,
  window: null,
  patient: null,
  patientId: null,
  studyUid: null,
  studyDate: null,
  modality: 'MG',
  forProcessing: false,
  ...change,
});

describe('which way a view is turned', () => {
  it.each([
    // A left breast hangs right of the middle: its chest wall, where rows that lead to the front begin, is on the left.
    ['L-CC', 'A', false],
    ['L-CC', 'P', true],
    ['R-CC', 'P', false],
    ['R-CC', 'A', true],
    ['L-MLO', 'P', true],
    ['R-MLO', 'P', false],
  ] as const)('%s with rows that lead to %s: mirrored %s', (view, rowToward, mirrored) => {
    expect(flipFor(view, { rowToward, columnToward: null }, EVEN).horizontal).toBe(mirrored);
  });

  it.each([
    ['L-CC', 'R', false],
    ['L-CC', 'L', true],
    ['R-CC', 'L', false],
    ['R-CC', 'R', true],
    ['L-MLO', 'F', false],
    ['L-MLO', 'H', true],
  ] as const)('%s with columns that lead to %s: upside down %s', (view, columnToward, turned) => {
    expect(flipFor(view, { rowToward: null, columnToward }, EVEN).vertical).toBe(turned);
  });

  it('goes by the half with more tissue where the file says nothing', () => {
    expect(flipFor('R-CC', null, { left: 10, right: 2 }).horizontal).toBe(true);
    expect(flipFor('L-CC', null, { left: 10, right: 2 }).horizontal).toBe(false);
  });

  it('believes the file more than the tissue', () => {
    expect(flipFor('R-CC', { rowToward: 'P', columnToward: null }, { left: 10, right: 2 }).horizontal).toBe(false);
  });
});

/** 14 rows of 14: tissue of 1000 in the columns from 7 on. */
const breast = () => Uint16Array.from({ length: 196 }, (_, at) => (at % 14 >= 7 ? 1000 : 0));

describe('greys on their way to the screen', () => {
  it('are mirrored so that a left breast has its chest wall on the left', () => {
    const { greys, flip } = hang(breast(), 14, 14, 'L-CC', null);
    expect(flip).toEqual({ horizontal: true, vertical: false });
    expect([...greys.subarray(0, 14)]).toEqual([...Array<number>(7).fill(1000), ...Array<number>(7).fill(0)]);
  });

  it('stay as they are where they hang already', () => {
    expect(hang(breast(), 14, 14, 'R-CC', null).greys).toEqual(breast());
  });

  it('are turned upside down where the head is below', () => {
    const rows = Uint16Array.from([1, 1, 2, 2, 3, 3]);
    expect([...hang(rows, 3, 2, 'L-MLO', facts({ rowToward: 'A', columnToward: 'H' })).greys]).toEqual([3, 3, 2, 2, 1, 1]);
  });

  it('of MONOCHROME1 are turned around, and padding becomes the background', () => {
    const greys = Uint16Array.from([4095, 4095, 95, 0]);
    expect([...hang(greys, 2, 2, 'L-CC', facts({ inverted: true, bitsStored: 12, padding: [4095, 4095], rowToward: 'A' })).greys]).toEqual([
      0, 0, 4000, 4095,
    ]);
  });

  it('with a sign are turned around within their range', () => {
    const greys = Int16Array.from([-32768, 32767]);
    expect([...hang(greys, 1, 2, 'L-CC', facts({ inverted: true, rowToward: 'A' })).greys]).toEqual([32767, -32768]);
  });
});

describe('the first window', () => {
  const sorted = (values: number[]) => ({ values: Float64Array.from(values), lowest: values[0] ?? 0, highest: values.at(-1) ?? 0 });

  it('is the file’s own where it has one', () => {
    expect(windowFor(sorted([0, 9]), facts({ window: { center: 100, width: 40 } }))).toEqual({ lower: 80, upper: 120 });
  });

  it('is turned around with MONOCHROME1', () => {
    expect(windowFor(sorted([0, 9]), facts({ window: { center: 100, width: 40 }, inverted: true, bitsStored: 12 }))).toEqual({
      lower: 3975,
      upper: 4015,
    });
  });

  it('leaves the background out otherwise', () => {
    const greys = [...Array<number>(900).fill(0), ...Array.from({ length: 100 }, (_, n) => 1000 + n * 10)];
    const { lower, upper } = windowFor(sorted(greys), null);
    expect(lower).toBeGreaterThanOrEqual(1000);
    expect(lower).toBeLessThan(1050);
    expect(upper).toBeGreaterThan(1950);
  });

  it('has a width even of an image with one grey', () => {
    const { lower, upper } = windowFor(sorted([7, 7, 7]), null);
    expect(upper).toBeGreaterThan(lower);
  });
});

it('a reduced picture has the mean of each square, without what is left over', () => {
  const greys = Uint16Array.from([1, 3, 10, 10, 99, 5, 7, 10, 11, 99, 99, 99, 99, 99, 99]);
  const small = reduced(greys, 3, 5, 2);
  expect({ ...small, greys: [...small.greys] }).toEqual({ rows: 1, columns: 2, greys: [4, 10] });
});
