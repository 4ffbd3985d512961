// From a file to a picture that cornerstone shows: decoded in a worker, then turned the way that it hangs.

import { cache, Enums, getWebWorkerManager, imageLoader, metaData } from '@cornerstonejs/core';
import dicomParser from 'dicom-parser';
import type { DataSet } from 'dicom-parser';
import type { View } from '../api/types';
import { parse } from '../dicom/tags';
import type { Facts } from '../dicom/tags';
import { decodePng } from './png';
import { hang, reduced } from './grey';
import { softwareGraphics } from './graphics';
import type { Greys, Hung } from './grey';

export interface Picture extends Omit<Hung, 'greys'> {
  /** A reduced picture, where there is one, and the whole one, in the same coordinates. */
  imageIds: string[];
  /** How many pixels of the whole picture are one of the reduced one, in each direction; 1 where there is none. */
  reduction: number;
}

/**
 * How many rows a reduced picture keeps, at least: more than a view has on most screens. Where the processor draws, it then has a tenth of the
 * work while the window changes; the whole picture is drawn once it is looked at from nearer.
 */
const REDUCED_ROWS = 1000;

/** The most that is kept of pictures: eight of the largest detectors' views. */
export const PICTURE_BYTES = 512 * 1024 * 1024;

/** The most pixels that are decoded: what an enclave takes. */
const MOST_PIXELS = 32 * 1024 * 1024;

const SCHEME = 'hung:';
const GENERAL_SERIES: string = Enums.MetadataModules.GENERAL_SERIES;
let next = 1;

/** What cornerstone asks of each image besides its pixels. */
export function describePictures(): void {
  metaData.addProvider((type: string, imageId: unknown) =>
    type === GENERAL_SERIES && typeof imageId === 'string' && imageId.startsWith(SCHEME) ? { modality: 'MG' } : undefined,
  );
}

/** Files wait for each other: the first is seen as soon as can be, and not all four late. */
let before: Promise<unknown> = Promise.resolve();

/** Decodes a file and hangs it as `view`. The picture stays in cornerstone's cache until it is dropped. */
export function loadPicture(file: Blob, media: 'dicom' | 'png', view: View, facts: Facts | null): Promise<Picture> {
  const picture = before.then(() => load(file, media, view, facts));
  before = picture.catch(() => undefined);
  return picture;
}

async function load(file: Blob, media: 'dicom' | 'png', view: View, facts: Facts | null): Promise<Picture> {
  const { greys, rows, columns } = media === 'png' ? await decodePng(file) : await decodeDicom(file);
  const { greys: hung, ...rest } = hang(greys, rows, columns, view, facts);
  const reduction = softwareGraphics() ? Math.max(1, Math.floor(rows / REDUCED_ROWS)) : 1;
  const imageIds = [keep(hung, rows, columns, 1)];
  if (reduction > 1) {
    const small = reduced(hung, rows, columns, reduction);
    imageIds.unshift(keep(small.greys, small.rows, small.columns, reduction));
  }
  return { imageIds, reduction, ...rest };
}

/** Puts a picture into cornerstone's cache; one pixel is `spacing` units wide, and the first whole pixel's centre is the origin. */
function keep(scalarData: Greys, rows: number, columns: number, spacing: number): string {
  const imageId = `${SCHEME}${next++}`;
  const origin = (spacing - 1) / 2;
  imageLoader.createAndCacheLocalImage(imageId, {
    scalarData,
    dimensions: [columns, rows],
    spacing: [spacing, spacing],
    origin: [origin, origin, 0],
  });
  return imageId;
}

export function dropPicture(picture: Picture): void {
  for (const imageId of picture.imageIds) {
    if (cache.getImage(imageId)) cache.removeImageLoadObject(imageId, { force: true });
  }
}

interface Frame {
  pixelData: unknown;
  rows: number;
  columns: number;
}

/** One frame, as it is stored: windows and slopes are for the viewer. The loader's worker decodes it. */
async function decodeDicom(file: Blob): Promise<{ greys: Greys; rows: number; columns: number }> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const set = parse(bytes);
  const number = (tag: string) => set.uint16(tag) ?? 0;
  const imageFrame = {
    samplesPerPixel: set.uint16('x00280002') ?? 1,
    photometricInterpretation: set.string('x00280004') ?? 'MONOCHROME2',
    planarConfiguration: set.uint16('x00280006'),
    rows: number('x00280010'),
    columns: number('x00280011'),
    bitsAllocated: number('x00280100'),
    bitsStored: number('x00280101'),
    pixelRepresentation: number('x00280103'),
  };
  if (imageFrame.samplesPerPixel !== 1) throw new Error('a picture in colour');
  if (imageFrame.rows * imageFrame.columns > MOST_PIXELS) throw new Error('too many pixels');
  const task = {
    imageFrame,
    transferSyntax: set.string('x00020010') ?? '',
    pixelData: encodedFrame(set),
    options: { preScale: { enabled: false } },
    decodeConfig: {},
  };
  const decoded = await getWebWorkerManager().executeTask<Frame>('dicomImageLoader', 'decodeTask', task);
  return { greys: asGreys(decoded.pixelData, imageFrame), rows: imageFrame.rows, columns: imageFrame.columns };
}

function encodedFrame(set: DataSet): Uint8Array {
  const element = set.elements.x7fe00010;
  if (element === undefined) throw new Error('no pixels');
  const { dataOffset, length, fragments } = element;
  if (element.encapsulatedPixelData === true && fragments !== undefined) {
    return dicomParser.readEncapsulatedPixelDataFromFragments(set, element, 0, fragments.length) as Uint8Array;
  }
  return (set.byteArray as Uint8Array).slice(dataOffset, dataOffset + length);
}

function asGreys(pixels: unknown, size: { rows: number; columns: number }): Greys {
  const known = pixels instanceof Uint8Array || pixels instanceof Uint16Array || pixels instanceof Int16Array;
  if (!known || pixels.length < size.rows * size.columns) throw new Error('greys of another kind, or too few');
  return pixels.subarray(0, size.rows * size.columns);
}
