import { describe, expect, it } from 'vitest';
import { isDicom, isPng, readFacts } from '../src/dicom/tags';
import { greyPng } from '../mock/png';
import { DEFLATED, mammogram } from './support/dicom';
import type { Mammogram } from './support/dicom';

const SMALL: Mammogram = { side: 'L', direction: 'CC', rows: 2, columns: 2, pixels: new Uint16Array([1, 2, 3, 4]) };
const facts = (change: Partial<Mammogram>) => readFacts(mammogram({ ...SMALL, ...change }));

describe('the view of a DICOM file', () => {
  it('is read from its side and its view position', () => {
    expect(facts({ side: 'R', direction: 'MLO' }).view).toBe('R-MLO');
  });

  it.each([
    ['399162004', 'L-CC'],
    ['R-10242', 'L-CC'],
    ['399368009', 'L-MLO'],
    ['R-10226', 'L-MLO'],
  ])('is read from the code %s', (code, view) => {
    expect(facts({ direction: null, code }).view).toBe(view);
  });

  it('is that of the code where a word says another', () => {
    expect(facts({ direction: null, code: 'R-10226', more: [[0x00185101, 'CS', 'CC']] }).view).toBe('L-MLO');
  });

  it('is none where the code is of another view, whatever the word says', () => {
    expect(facts({ direction: null, code: 'R-10224', more: [[0x00185101, 'CS', 'CC']] }).view).toBeNull();
  });

  it('is read from where the orientation should be, as some collections have it', () => {
    expect(facts({ direction: null, orientation: 'MLO' }).view).toBe('L-MLO');
  });

  it('takes the older place of the side', () => {
    expect(facts({ side: null, more: [[0x00200060, 'CS', 'R']] }).view).toBe('R-CC');
  });

  it('is none without a side', () => {
    expect(facts({ side: null }).view).toBeNull();
  });

  it('is read from a deflated file too', () => {
    expect(facts({ side: 'R', syntax: DEFLATED }).view).toBe('R-CC');
  });
});

describe('what else a DICOM file says', () => {
  it('says where rows and columns lead', () => {
    expect(facts({ orientation: 'A\\R' })).toMatchObject({ rowToward: 'A', columnToward: 'R' });
  });

  it('says nothing of directions where the orientation holds the view', () => {
    expect(facts({ orientation: 'MLO' })).toMatchObject({ rowToward: null, columnToward: null });
  });

  it('knows which end of the numbers is white, the padding, and the window', () => {
    expect(facts({ photometric: 'MONOCHROME1', padding: 4095, bitsStored: 12, window: [2000, 1000] })).toMatchObject({
      inverted: true,
      padding: [4095, 4095],
      bitsStored: 12,
      window: { center: 2000, width: 1000 },
    });
  });

  it('has whose it is, the ideographic name first', () => {
    expect(facts({ patientName: 'Wang^Xiaodong=王^小东', patientId: '007' })).toMatchObject({
      patient: '王 小东 · Wang Xiaodong',
      patientId: '007',
    });
  });

  it('knows raw data and other modalities', () => {
    expect(facts({ intent: 'FOR PROCESSING', modality: 'CR' })).toMatchObject({ forProcessing: true, modality: 'CR' });
  });
});

it('is read from the beginning of a file, before its pixels', () => {
  const file = mammogram({ ...SMALL, rows: 200, columns: 200, pixels: new Uint16Array(40_000) });
  expect(readFacts(file.subarray(0, 1500)).view).toBe('L-CC');
});

it('refuses what is no DICOM file', () => {
  expect(() => readFacts(new Uint8Array(400))).toThrow();
});

it('tells DICOM, PNG and other files apart by their first bytes', () => {
  const png = greyPng(1, 1, () => 0);
  const dicom = mammogram(SMALL);
  const text = Buffer.from('a letter about a patient');
  expect([png, dicom, text].map((bytes) => [isPng(bytes), isDicom(bytes)])).toEqual([
    [true, false],
    [false, true],
    [false, false],
  ]);
});
