// One viewport's life: a file decoded, shown, covered with its map, and taken away again.

import type { Types } from '@cornerstonejs/core';
import type { View } from '../api/types';
import { chestWall } from '../dicom/hanging';
import type { Facts } from '../dicom/tags';
import type { Picture } from './core';

export interface Source {
  /** Differs for each file, so that a file that is dropped anew is shown anew. */
  key: string;
  file: Blob;
  media: 'dicom' | 'png';
  facts: Facts | null;
}

export interface Shown {
  rows: number;
  columns: number;
  mirrored: boolean;
  window: { width: number; level: number };
}

export interface Seen {
  shown: (shown: Shown) => void;
  failed: () => void;
}

/** From how many pixels of the screen for one of the reduced picture on the whole one is shown. */
const NEAR = 1.2;

type Core = typeof import('./core');
let core: Promise<Core> | null = null;

/** Fetches the viewer's code, once. */
export function viewerCore(): Promise<Core> {
  core ??= import('./core');
  return core;
}

export class Pane {
  private viewport: Types.IStackViewport | null = null;
  private picture: Picture | null = null;
  private map: HTMLCanvasElement | null = null;
  private inverted = false;
  private told = '';
  private refining = false;
  private ended = false;

  constructor(
    readonly view: View,
    private readonly element: HTMLDivElement,
    private readonly overlay: HTMLCanvasElement,
    private readonly seen: Seen,
  ) {}

  async show(source: Source): Promise<void> {
    try {
      const { EVENTS, enable, loadPicture, dropPicture } = await viewerCore();
      if (this.gone()) return;
      this.viewport = await enable(this.view, this.element);
      const picture = await loadPicture(source.file, source.media, this.view, source.facts);
      if (this.gone()) {
        dropPicture(picture);
        return;
      }
      this.picture = picture;
      this.element.addEventListener(EVENTS.rendered, this.rendered);
      await this.viewport.setStack(picture.imageIds.slice(0, 1));
      await this.reset();
    } catch {
      if (!this.gone()) this.seen.failed();
    }
  }

  /** Takes the viewport away; its element can be used again afterwards. */
  async end(): Promise<void> {
    this.ended = true;
    const { EVENTS, disable, dropPicture } = await viewerCore();
    this.element.removeEventListener(EVENTS.rendered, this.rendered);
    if (this.viewport !== null) await disable(this.view);
    if (this.picture !== null) dropPicture(this.picture);
  }

  async setMap(png: Blob | null): Promise<void> {
    const { paintMap } = await viewerCore();
    if (this.gone() || this.picture === null) return;
    this.map = png === null ? null : await paintMap(png, this.picture.flip).catch(() => null);
    await this.draw();
  }

  async reset(): Promise<void> {
    const { viewport, picture } = this;
    if (viewport === null || picture === null) return;
    const { fit } = await viewerCore();
    this.inverted = false;
    viewport.setProperties({ voiRange: picture.window, invert: false });
    fit(viewport, picture.rows, picture.columns, chestWall(this.view));
  }

  async refit(): Promise<void> {
    const { viewport, picture } = this;
    if (viewport === null || picture === null || this.gone()) return;
    const { fit } = await viewerCore();
    fit(viewport, picture.rows, picture.columns, chestWall(this.view));
  }

  invert(): void {
    if (this.viewport === null) return;
    this.inverted = !this.inverted;
    this.viewport.setProperties({ invert: this.inverted });
    this.viewport.render();
  }

  async nudge(right: number, down: number): Promise<void> {
    const { nudge } = await viewerCore();
    if (this.viewport !== null && this.picture !== null) nudge(this.viewport, right, down);
  }

  /** Around a point of the element, in CSS pixels, or the middle of the picture. */
  async zoom(factor: number, around?: [number, number]): Promise<void> {
    const { zoom } = await viewerCore();
    const { viewport, picture } = this;
    if (viewport === null || picture === null) return;
    const [x, y] = around === undefined ? [picture.columns / 2, picture.rows / 2] : viewport.canvasToWorld(around);
    zoom(viewport, factor, [x, y]);
  }

  async nudgeWindow(level: number, width: number): Promise<void> {
    const { nudgeWindow } = await viewerCore();
    if (this.viewport !== null && this.picture !== null) nudgeWindow(this.viewport, level, width);
  }

  /** Whether it was ended; asked anew after each wait. */
  private gone(): boolean {
    return this.ended;
  }

  private readonly rendered = (): void => {
    const { viewport, picture } = this;
    if (viewport === null || picture === null) return;
    const range = viewport.getProperties().voiRange ?? picture.window;
    const window = { width: Math.round(range.upper - range.lower), level: Math.round((range.upper + range.lower) / 2) };
    const key = `${window.width} ${window.level}`;
    if (key !== this.told) {
      if (this.told === '') performance.mark(`shown ${this.view}`);
      this.told = key;
      this.seen.shown({ rows: picture.rows, columns: picture.columns, mirrored: picture.flip.horizontal || picture.flip.vertical, window });
    }
    void this.draw();
    void this.refine();
  };

  /** Shows the whole picture in the place of the reduced one from near, and the other way round from afar. */
  private async refine(): Promise<void> {
    const { viewport, picture } = this;
    if (viewport === null || picture === null || picture.reduction === 1 || this.refining) return;
    const { parallelScale = 1, focalPoint = [0, 0, 0] } = viewport.getCamera();
    const near = ((this.element.clientHeight * devicePixelRatio) / 2 / parallelScale) * picture.reduction > NEAR;
    const wanted = picture.imageIds[near ? 1 : 0];
    if (wanted === undefined || viewport.getCurrentImageId() === wanted) return;
    this.refining = true;
    try {
      const { look } = await viewerCore();
      const { voiRange } = viewport.getProperties();
      // A stack of its own: within one, a picture is cut to the size of the one before it.
      await viewport.setStack([wanted]);
      if (this.gone()) return;
      viewport.setProperties({ invert: this.inverted, ...(voiRange === undefined ? {} : { voiRange }) });
      look(viewport, [focalPoint[0], focalPoint[1]], parallelScale);
    } finally {
      this.refining = false;
    }
  }

  private async draw(): Promise<void> {
    const { drawMap } = await viewerCore();
    const { viewport, picture } = this;
    if (viewport !== null && picture !== null && !this.gone()) drawMap(this.overlay, viewport, this.map, picture.rows, picture.columns);
  }
}
