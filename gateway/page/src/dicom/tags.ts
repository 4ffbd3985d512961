// What the page reads of a DICOM file, before anything is sent: which view it shows, which way it faces, and whose it is. The same attributes
// as the enclave reads (docs/dicom.md), and like it never a file's name.

import { inflateSync } from 'fflate';
import dicomParser from 'dicom-parser';
import type { DataSet } from 'dicom-parser';
import type { View } from '../api/types';

export type Direction = 'CC' | 'MLO';

export interface Facts {
  /** Null where the file does not say one of the four. */
  view: View | null;
  /** What PatientOrientation says of a row from left to right, and of a column from top to bottom; null where it says nothing. */
  rowToward: string | null;
  columnToward: string | null;
  /** MONOCHROME1: the lowest number is white. */
  inverted: boolean;
  rows: number;
  columns: number;
  bitsStored: number;
  /** Pixels between these, ends included, are no part of the picture. */
  padding: [number, number] | null;
  window: { center: number; width: number } | null;
  patient: string | null;
  patientId: string | null;
  studyUid: string | null;
  studyDate: string | null;
  modality: string | null;
  forProcessing: boolean;
}

/** A file that starts as PS3.10 says. */
export function isDicom(head: Uint8Array): boolean {
  return head.length >= 132 && head[128] === 0x44 && head[129] === 0x49 && head[130] === 0x43 && head[131] === 0x4d;
}

export function isPng(head: Uint8Array): boolean {
  return [0x89, 0x50, 0x4e, 0x47].every((byte, at) => head[at] === byte);
}

/** The bytes before the pixels are all that is read; a deflated file is inflated. Throws where it is no DICOM file. */
export function readFacts(bytes: Uint8Array): Facts {
  const set = parse(bytes, 'x7fe00010');
  const direction = readDirection(set);
  const side = readSide(set);
  const orientation = (set.string('x00200020') ?? '').split('\\');
  return {
    view: direction !== null && side !== null ? (`${side}-${direction}` as View) : null,
    rowToward: way(orientation[0]),
    columnToward: way(orientation[1]),
    inverted: set.string('x00280004') === 'MONOCHROME1',
    rows: set.uint16('x00280010') ?? 0,
    columns: set.uint16('x00280011') ?? 0,
    bitsStored: set.uint16('x00280101') ?? 16,
    padding: readPadding(set),
    window: readWindow(set),
    patient: readName(set),
    patientId: words(set.string('x00100020')),
    studyUid: words(set.string('x0020000d')),
    studyDate: words(set.string('x00080020')),
    modality: words(set.string('x00080060')),
    forProcessing: set.string('x00080068') === 'FOR PROCESSING',
  };
}

/** The whole data set, or what stands before a tag. Throws where it is no DICOM file. */
export function parse(bytes: Uint8Array, untilTag?: string): DataSet {
  return dicomParser.parseDicom(bytes, { inflater: inflate, ...(untilTag === undefined ? {} : { untilTag }) });
}

function inflate(bytes: Uint8Array, from: number): Uint8Array {
  const rest = inflateSync(bytes.subarray(from));
  const whole = new Uint8Array(from + rest.length);
  whole.set(bytes.subarray(0, from));
  whole.set(rest, from);
  return whole;
}

function words(value: string | undefined): string | null {
  const said = value?.trim() ?? '';
  return said === '' ? null : said;
}

// PS3.16, CID 4014, in SNOMED CT and in the older SRT.
const DIRECTIONS: Record<string, Direction> = { '399162004': 'CC', 'R-10242': 'CC', '399368009': 'MLO', 'R-10226': 'MLO' };

function readDirection(set: DataSet): Direction | null {
  const items = set.elements.x00540220?.items;
  if (items !== undefined && items.length > 0) {
    const code = items[0]?.dataSet?.string('x00080100');
    return code === undefined ? null : (DIRECTIONS[code] ?? null);
  }
  const position = words(set.string('x00185101'));
  if (position !== null) return position === 'CC' || position === 'MLO' ? position : null;
  // No orientation, but where some collections put the view.
  const orientation = words(set.string('x00200020'));
  return orientation === 'CC' || orientation === 'MLO' ? orientation : null;
}

function readSide(set: DataSet): 'L' | 'R' | null {
  const shared = set.elements.x52009229?.items?.[0]?.dataSet;
  const anatomy = shared?.elements.x00209071?.items?.[0]?.dataSet;
  for (const said of [set.string('x00200062'), set.string('x00200060'), anatomy?.string('x00209072')]) {
    const side = words(said);
    if (side !== null) return side === 'L' || side === 'R' ? side : null;
  }
  return null;
}

/** The first letter of a direction of PatientOrientation (PS3.3, C.7.6.1.1.1), where it is one. */
function way(component: string | undefined): string | null {
  const said = component?.trim() ?? '';
  return /^[APRLHF]{1,3}$/.test(said) ? said.charAt(0) : null;
}

function readPadding(set: DataSet): [number, number] | null {
  const signed = set.uint16('x00280103') === 1;
  const read = (tag: string) => (signed ? set.int16(tag) : set.uint16(tag));
  const first = read('x00280120');
  if (first === undefined) return null;
  const last = read('x00280121') ?? first;
  return [Math.min(first, last), Math.max(first, last)];
}

function readWindow(set: DataSet): Facts['window'] {
  const center = set.floatString('x00281050', 0);
  const width = set.floatString('x00281051', 0);
  return center !== undefined && width !== undefined && Number.isFinite(center) && width > 1 ? { center, width } : null;
}

// SpecificCharacterSet (PS3.3, C.12.1.1.2) to what a browser calls it; one set, as mammography devices write it.
const CHARSETS: Record<string, string> = {
  'ISO_IR 192': 'utf-8',
  GB18030: 'gb18030',
  GBK: 'gbk',
  'ISO_IR 101': 'iso-8859-2',
  'ISO_IR 144': 'iso-8859-5',
  'ISO_IR 13': 'shift_jis',
};

function readName(set: DataSet): string | null {
  const element = set.elements.x00100010;
  if (element === undefined || element.length === 0) return null;
  const charset = (set.string('x00080005') ?? '').split('\\')[0]?.trim() ?? '';
  const bytes = set.byteArray.slice(element.dataOffset, element.dataOffset + element.length);
  const text = new TextDecoder(CHARSETS[charset] ?? 'windows-1252').decode(bytes);
  return personName(text);
}

/** A person's name (PS3.5, 6.2) as it is read: of its alphabetic, ideographic and phonetic groups the ideographic one first. */
export function personName(text: string): string | null {
  const groups = text.split('=').map((group) => group.replace(/\0/g, '').replace(/\^+/g, ' ').trim());
  return words([groups[1], groups[0]].filter((group) => group !== undefined && group !== '').join(' · '));
}
