// Cornerstone, started once, and what the page wants of one of its viewports.

import { cache, Enums, init as startCore, RenderingEngine } from '@cornerstonejs/core';
import type { Types } from '@cornerstonejs/core';
import { init as startLoader } from '@cornerstonejs/dicom-image-loader';
import {
  addTool,
  Enums as ToolEnums,
  init as startTools,
  PanTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
} from '@cornerstonejs/tools';
import type { Types as ToolTypes } from '@cornerstonejs/tools';
import { softwareGraphics } from './graphics';
import { describePictures, PICTURE_BYTES } from './load';

/** What a viewport's element says of itself. */
export const EVENTS = { rendered: Enums.Events.IMAGE_RENDERED };

const ENGINE = 'views';
const GROUP = 'views';

/** What dragging with the first button does. */
export type Tool = 'window' | 'pan' | 'zoom';
const TOOL_NAMES: Record<Tool, string> = {
  window: String(WindowLevelTool.toolName),
  pan: String(PanTool.toolName),
  zoom: String(ZoomTool.toolName),
};

let started: Promise<RenderingEngine> | null = null;

export function engine(): Promise<RenderingEngine> {
  started ??= Promise.resolve().then(start);
  return started;
}

function start(): RenderingEngine {
  // Drawing by a processor that plays a graphics card is slower than drawing by the processor itself.
  startCore({ rendering: { useCPURendering: softwareGraphics() } } as Parameters<typeof startCore>[0]);
  startLoader({ maxWebWorkers: Math.max(1, Math.min(4, navigator.hardwareConcurrency)) });
  describePictures();
  cache.setMaxCacheSize(PICTURE_BYTES);
  startTools();
  for (const tool of [WindowLevelTool, PanTool, ZoomTool]) addTool(tool);
  const group = ToolGroupManager.createToolGroup(GROUP);
  for (const name of Object.values(TOOL_NAMES)) group?.addTool(name);
  chooseTool('window');
  return new RenderingEngine(ENGINE);
}

function group(): ToolTypes.IToolGroup | undefined {
  return ToolGroupManager.getToolGroup(GROUP);
}

/** The first button does what was chosen, the second zooms, the third moves. */
export function chooseTool(tool: Tool): void {
  const tools = group();
  if (!tools) return;
  const { Primary, Secondary, Auxiliary } = ToolEnums.MouseBindings;
  const bindings: Record<Tool, ToolEnums.MouseBindings[]> = { window: [], pan: [Auxiliary], zoom: [Secondary] };
  bindings[tool].push(Primary);
  for (const name of Object.keys(bindings) as Tool[]) {
    tools.setToolPassive(TOOL_NAMES[name], { removeAllBindings: true });
    const buttons = bindings[name].map((mouseButton) => ({ mouseButton }));
    if (buttons.length > 0) tools.setToolActive(TOOL_NAMES[name], { bindings: buttons });
  }
}

export async function enable(id: string, element: HTMLDivElement): Promise<Types.IStackViewport> {
  const views = await engine();
  views.enableElement({ viewportId: id, type: Enums.ViewportType.STACK, element, defaultOptions: { background: [0, 0, 0] } });
  group()?.addViewport(id, ENGINE);
  return views.getViewport<Types.IStackViewport>(id);
}

export async function disable(id: string): Promise<void> {
  const views = await engine();
  group()?.removeViewports(ENGINE, id);
  views.disableElement(id);
}

export async function resizeAll(): Promise<void> {
  (await engine()).resize(true, true);
}

/** The whole picture, as large as it fits, its chest wall at the edge where the two breasts meet. */
export function fit(viewport: Types.IStackViewport, rows: number, columns: number, wall: 'left' | 'right'): void {
  const { clientWidth, clientHeight } = viewport.element;
  if (clientWidth === 0 || clientHeight === 0) return;
  const scale = Math.min(clientWidth / columns, clientHeight / rows);
  const across = clientWidth / 2 / scale;
  const x = wall === 'left' ? across - 0.5 : columns - across - 0.5;
  look(viewport, [x, rows / 2 - 0.5], clientHeight / 2 / scale);
}

/** Centres a point of the picture, with `parallelScale` pixels of it from the middle to the upper edge. */
export function look(viewport: Types.IStackViewport, centre: [number, number], parallelScale: number): void {
  const camera = viewport.getCamera();
  const [x, y] = centre;
  const [fx = 0, fy = 0, fz = 0] = camera.focalPoint ?? [];
  const [px = 0, py = 0, pz = 0] = camera.position ?? [];
  viewport.setCamera({ parallelScale });
  viewport.setCamera({ focalPoint: [x, y, fz], position: [px + x - fx, py + y - fy, pz] });
  viewport.render();
}

/** Moves by a share of what is seen; for keys. */
export function nudge(viewport: Types.IStackViewport, right: number, down: number): void {
  const { focalPoint = [0, 0, 0], parallelScale = 1 } = viewport.getCamera();
  const step = parallelScale * 2;
  look(viewport, [focalPoint[0] + right * step, focalPoint[1] + down * step], parallelScale);
}

/** Zooms by a factor around a point of the picture, which stays where it is on the screen. */
export function zoom(viewport: Types.IStackViewport, factor: number, around: [number, number]): void {
  const { focalPoint = [0, 0, 0], parallelScale = 1 } = viewport.getCamera();
  const towards = (from: number, to: number) => to + (from - to) / factor;
  look(viewport, [towards(focalPoint[0], around[0]), towards(focalPoint[1], around[1])], parallelScale / factor);
}

/** Changes the window: its middle and its width, as shares of its width; for keys. */
export function nudgeWindow(viewport: Types.IStackViewport, level: number, width: number): void {
  const range = viewport.getProperties().voiRange;
  if (!range) return;
  const wide = range.upper - range.lower;
  const middle = (range.upper + range.lower) / 2 + level * wide;
  const half = Math.max(0.5, (wide * (1 + width)) / 2);
  viewport.setProperties({ voiRange: { lower: middle - half, upper: middle + half } });
  viewport.render();
}
