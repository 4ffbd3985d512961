// Everything that needs cornerstone, in one piece that is fetched when images are first shown.

export { EVENTS, chooseTool, disable, enable, engine, fit, look, nudge, nudgeWindow, resizeAll, zoom } from './engine';
export type { Tool } from './engine';
export { dropPicture, loadPicture } from './load';
export type { Picture } from './load';
export { drawMap, paintMap } from './overlay';
