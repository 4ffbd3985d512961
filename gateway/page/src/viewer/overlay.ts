// The map of where the network looked, over a picture, wherever the picture is moved to.

import type { Types } from '@cornerstonejs/core';
import type { Flip } from '../dicom/hanging';
import { colour } from './ramp';

/** Colours a grey map (0..255), and mirrors it as the picture was. */
export async function paintMap(png: Blob, flip: Flip): Promise<HTMLCanvasElement> {
  const bitmap = await createImageBitmap(png);
  const canvas = document.createElement('canvas');
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new Error('no canvas to draw on');
  context.translate(flip.horizontal ? bitmap.width : 0, flip.vertical ? bitmap.height : 0);
  context.scale(flip.horizontal ? -1 : 1, flip.vertical ? -1 : 1);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) pixels.data.set(colour((pixels.data[at] ?? 0) / 255), at);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** Draws the map where the picture's corners are now. */
export function drawMap(
  target: HTMLCanvasElement,
  viewport: Types.IStackViewport,
  map: HTMLCanvasElement | null,
  rows: number,
  columns: number,
): void {
  const { clientWidth, clientHeight } = viewport.element;
  const ratio = devicePixelRatio;
  const width = Math.round(clientWidth * ratio);
  const height = Math.round(clientHeight * ratio);
  if (target.width !== width) target.width = width;
  if (target.height !== height) target.height = height;
  const context = target.getContext('2d');
  if (context === null) return;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  if (map === null) return;
  const [left, top] = viewport.worldToCanvas([-0.5, -0.5, 0]);
  const [right, bottom] = viewport.worldToCanvas([columns - 0.5, rows - 0.5, 0]);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = 'high';
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.drawImage(map, left, top, right - left, bottom - top);
}
