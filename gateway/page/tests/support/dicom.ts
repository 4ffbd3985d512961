// Writes DICOM files (PS3.10, explicit VR little endian) for tests.

import { deflateRawSync } from 'node:zlib';

type Value = string | number | Uint8Array | Element[][];
type Element = [tag: number, vr: string, value: Value];

const LONG = ['OB', 'OW', 'SQ', 'UN'];
export const EXPLICIT = '1.2.840.10008.1.2.1';
export const DEFLATED = '1.2.840.10008.1.2.1.99';

function element([tag, vr, value]: Element): Buffer {
  const bytes = encode(vr, value);
  const head = Buffer.alloc(LONG.includes(vr) ? 12 : 8);
  head.writeUInt16LE(tag >>> 16, 0);
  head.writeUInt16LE(tag & 0xffff, 2);
  head.write(vr, 4, 'latin1');
  if (LONG.includes(vr)) head.writeUInt32LE(bytes.length, 8);
  else head.writeUInt16LE(bytes.length, 6);
  return Buffer.concat([head, bytes]);
}

function encode(vr: string, value: Value): Buffer {
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(vr === 'UL' ? 4 : 2);
    if (vr === 'UL') bytes.writeUInt32LE(value);
    else if (value < 0) bytes.writeInt16LE(value);
    else bytes.writeUInt16LE(value);
    return bytes;
  }
  if (Array.isArray(value)) return Buffer.concat(value.map(item));
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value);
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from(vr === 'UI' || typeof value !== 'string' ? [0] : ' ')]);
}

function item(elements: Element[]): Buffer {
  const bytes = Buffer.concat(elements.map(element));
  const head = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
  head.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([head, bytes]);
}

export interface Mammogram {
  side: 'L' | 'R' | null;
  direction: 'CC' | 'MLO' | null;
  /** The direction as a code, instead of a word. */
  code?: string;
  orientation?: string;
  photometric?: 'MONOCHROME1' | 'MONOCHROME2';
  rows: number;
  columns: number;
  bitsStored?: number;
  pixels: Uint16Array;
  patientId?: string;
  patientName?: string;
  studyUid?: string;
  padding?: number;
  window?: [number, number];
  modality?: string;
  intent?: string;
  syntax?: string;
  /** Whatever else, in the order of tags. */
  more?: Element[];
}

const SOP_CLASS = '1.2.840.10008.5.1.4.1.1.1.2';

/** One view, as a detector writes it. */
export function mammogram(of: Mammogram): Buffer {
  const bits = of.bitsStored ?? 16;
  const named = `${of.side ?? 'X'}${of.direction ?? 'X'}`;
  const instance = `2.25.${Buffer.from(named).join('')}`;
  const elements: Element[] = [
    [0x00080005, 'CS', 'ISO_IR 192'],
    [0x00080016, 'UI', SOP_CLASS],
    [0x00080018, 'UI', instance],
    [0x00080020, 'DA', '20260302'],
    [0x00080060, 'CS', of.modality ?? 'MG'],
    [0x00080068, 'CS', of.intent ?? 'FOR PRESENTATION'],
    [0x00100010, 'PN', of.patientName ?? 'Synthetic^Person'],
    [0x00100020, 'LO', of.patientId ?? 'SYN-1'],
    [0x0020000d, 'UI', of.studyUid ?? '2.25.1'],
    [0x0020000e, 'UI', '2.25.2'],
    [0x00280002, 'US', 1],
    [0x00280004, 'CS', of.photometric ?? 'MONOCHROME2'],
    [0x00280010, 'US', of.rows],
    [0x00280011, 'US', of.columns],
    [0x00280100, 'US', 16],
    [0x00280101, 'US', bits],
    [0x00280102, 'US', bits - 1],
    [0x00280103, 'US', 0],
    [0x7fe00010, 'OW', new Uint8Array(of.pixels.buffer, of.pixels.byteOffset, of.pixels.byteLength)],
    ...(of.more ?? []),
  ];
  if (of.side !== null) elements.push([0x00200062, 'CS', of.side]);
  if (of.direction !== null && of.code === undefined) elements.push([0x00185101, 'CS', of.direction]);
  if (of.code !== undefined) elements.push([0x00540220, 'SQ', [[[0x00080100, 'SH', of.code]]]]);
  if (of.orientation !== undefined) elements.push([0x00200020, 'CS', of.orientation]);
  if (of.padding !== undefined) elements.push([0x00280120, 'US', of.padding]);
  if (of.window !== undefined) elements.push([0x00281050, 'DS', String(of.window[0])], [0x00281051, 'DS', String(of.window[1])]);
  elements.sort(([a], [b]) => a - b);
  return part10(of.syntax ?? EXPLICIT, instance, Buffer.concat(elements.map(element)));
}

function part10(syntax: string, instance: string, body: Buffer): Buffer {
  const meta = Buffer.concat(
    (
      [
        [0x00020001, 'OB', new Uint8Array([0, 1])],
        [0x00020002, 'UI', SOP_CLASS],
        [0x00020003, 'UI', instance],
        [0x00020010, 'UI', syntax],
      ] as Element[]
    ).map(element),
  );
  const length = element([0x00020000, 'UL', meta.length]);
  const rest = syntax === DEFLATED ? deflateRawSync(body) : body;
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), length, meta, rest]);
}
