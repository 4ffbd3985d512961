import { describe, expect, it } from 'vitest';
import { hangItems, LONGEST_FILE, partsOf, readItem } from '../src/exam/draft';
import type { Item } from '../src/exam/draft';
import { greyPng } from '../mock/png';
import { mammogram } from './support/dicom';
import type { Mammogram } from './support/dicom';

const VIEWS = [
  ['R', 'CC'],
  ['L', 'CC'],
  ['R', 'MLO'],
  ['L', 'MLO'],
] as const;

const dicom = (side: 'L' | 'R' | null, direction: 'CC' | 'MLO', change: Partial<Mammogram> = {}) =>
  readItem(
    new File(
      [new Uint8Array(mammogram({ side, direction, rows: 2, columns: 2, pixels: new Uint16Array(4), ...change }))],
      // A name that says another view: it is never read.
      'L-CC.dcm',
    ),
  );
const four = () => Promise.all(VIEWS.map(([side, direction]) => dicom(side, direction)));
const png = () => readItem(new File([new Uint8Array(greyPng(2, 2, () => 1))], 'R-CC.png'));
const found = (items: Item[], allowMissing = false) => hangItems(items, allowMissing).findings.map((finding) => finding.id);

describe('dropped files', () => {
  it('hang by their attributes, in whatever order they came', async () => {
    const items = (await four()).reverse();
    const { slots, ready, findings } = hangItems(items);
    expect([slots['R-CC'], slots['L-CC'], slots['R-MLO'], slots['L-MLO']]).toEqual([items[3], items[2], items[1], items[0]]);
    expect(findings).toEqual([]);
    expect(ready).toBe(true);
  });

  it('cannot be sent with a view missing, until a person says so', async () => {
    const items = (await four()).slice(0, 3);
    expect(hangItems(items)).toMatchObject({ missing: ['L-MLO'], ready: false });
    expect(hangItems(items, true).ready).toBe(true);
  });

  it('are never ready when there are none', () => {
    expect(hangItems([], true)).toMatchObject({ ready: false, findings: [] });
  });

  it('of one view twice are told, and not sent', async () => {
    const items = [...(await four()), await dicom('L', 'CC')];
    const { findings, ready } = hangItems(items);
    expect(findings).toMatchObject([{ id: 'duplicate-view', views: ['L-CC'], blocks: true }]);
    expect(ready).toBe(false);
  });

  it('of two patients are told, and not sent, even with views missing', async () => {
    const items = [await dicom('L', 'CC'), await dicom('R', 'CC', { patientId: 'SYN-2' })];
    expect(found(items, true)).toContain('other-patient');
    expect(hangItems(items, true).ready).toBe(false);
  });

  it('of two studies are told', async () => {
    expect(found([await dicom('L', 'CC'), await dicom('R', 'CC', { studyUid: '2.25.9' })])).toContain('other-study');
  });

  it.each([
    ['no-view', { side: null }],
    ['not-a-mammogram', { modality: 'CR' }],
    ['for-processing', { intent: 'FOR PROCESSING' }],
  ] as const)('are told: %s', async (id, change) => {
    expect(found([await dicom('R', 'CC', change)], true)).toContain(id);
  });

  it('that are no images are told', async () => {
    const letter = await readItem(new File(['Dear colleague'], 'R-CC.dcm'));
    expect(letter.media).toBe('other');
    expect(found([letter])).toContain('not-an-image');
  });

  it('that are cut off in their attributes are told', async () => {
    const whole = mammogram({ side: 'L', direction: 'CC', rows: 2, columns: 2, pixels: new Uint16Array(4) });
    const cut = await readItem(new File([new Uint8Array(whole.subarray(0, 160))], 'cut'));
    expect(found([cut])).toContain('unreadable');
  });

  it('that are too large are told', async () => {
    const item = await dicom('L', 'CC');
    const large = { ...item, file: { size: LONGEST_FILE + 1 } as File };
    expect(found([large])).toContain('file-too-large');
  });

  it('as PNG need a person to say the view', async () => {
    const item = await png();
    expect(item).toMatchObject({ media: 'png', view: null });
    expect(found([item])).toContain('choose-view');
    expect(found([{ ...item, view: 'R-CC' }], true)).not.toContain('choose-view');
  });
});

describe('what is sent', () => {
  it('is a DICOM file as an image and a PNG under its view', async () => {
    const picture = { ...(await png()), view: 'L-MLO' as const };
    const items = [...(await four()).filter((item) => item.view !== 'L-MLO'), picture];
    expect(partsOf(hangItems(items)).map((part) => part.name)).toEqual(['image', 'image', 'image', 'L-MLO']);
  });
});
