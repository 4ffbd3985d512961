// The four views as they hang, with their tools.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { VIEWS } from '../api/types';
import type { View } from '../api/types';
import { useWords } from '../i18n';
import { Pane, viewerCore } from './pane';
import type { Shown, Source } from './pane';
import { Toolbar } from './Toolbar';
import type { Tool } from './core';

/** How much of a view an arrow key moves, and how much of the window's width it changes. */
const MOVE_STEP = 0.05;
const WINDOW_STEP = 0.05;
const ZOOM_STEP = 1.15;

/** How much a pixel of the wheel's way zooms: a notch, which has about a hundred, by a sixth. */
const WHEEL_STEP = 0.0015;

/** How strong the overlay is at first. */
const FIRST_OPACITY = 0.5;

export interface ViewerProps {
  sources: Record<View, Source | null>;
  /** Null where no overlay is to be expected. */
  maps: Partial<Record<View, Blob>> | null;
  /** What stands in a pane that has no image. */
  empty: (view: View) => ComponentChildren;
  onFailed?: (view: View, key: string) => void;
}

export function Viewer({ sources, maps, empty, onFailed }: ViewerProps) {
  const [tool, setTool] = useState<Tool>('window');
  const [active, setActive] = useState<View>('R-CC');
  const [single, setSingle] = useState(false);
  const [opacity, setOpacity] = useState(FIRST_OPACITY);
  const lastOpacity = useRef(FIRST_OPACITY);
  const panes = useRef(new Map<View, Pane>());
  const grid = useRef<HTMLDivElement>(null);
  const shownSome = VIEWS.some((view) => sources[view] !== null);

  const pick = useCallback((next: Tool) => {
    setTool(next);
    void viewerCore().then(({ chooseTool }) => chooseTool(next));
  }, []);
  const focus = (view: View) => {
    setActive(view);
    grid.current?.querySelector<HTMLElement>(`[data-view="${view}"]`)?.focus();
  };
  const toggleOverlay = () => {
    if (opacity > 0) lastOpacity.current = opacity;
    setOpacity(opacity > 0 ? 0 : lastOpacity.current);
  };
  useResize(grid, panes.current, single ? active : null);

  const onKey = (event: KeyboardEvent) => {
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      event.target instanceof HTMLInputElement ||
      event.target instanceof HTMLSelectElement
    )
      return;
    const pane = panes.current.get(active);
    const actions: Record<string, () => void> = {
      w: () => pick('window'),
      p: () => pick('pan'),
      z: () => pick('zoom'),
      i: () => pane?.invert(),
      r: () => void pane?.reset(),
      f: () => setSingle(!single),
      o: toggleOverlay,
      ...Object.fromEntries(VIEWS.map((view, at) => [String(at + 1), () => focus(view)])),
    };
    const action = actions[event.key.toLowerCase()];
    if (action === undefined && (pane === undefined || !arrow(pane, event))) return;
    action?.();
    event.preventDefault();
  };

  return (
    <div class="viewer" onKeyDown={onKey}>
      <Toolbar
        tool={tool}
        single={single}
        opacity={maps === null ? null : opacity}
        disabled={!shownSome}
        onTool={pick}
        onInvert={() => panes.current.get(active)?.invert()}
        onReset={() => panes.current.forEach((pane) => void pane.reset())}
        onSingle={() => setSingle(!single)}
        onOpacity={setOpacity}
      />
      <div class="panes" ref={grid}>
        {VIEWS.map((view) => (
          <PaneBox
            key={view}
            view={view}
            source={sources[view]}
            map={maps?.[view] ?? null}
            opacity={opacity}
            active={active === view}
            single={single && active === view}
            empty={empty(view)}
            panes={panes.current}
            onActive={() => setActive(view)}
            onSingle={() => setSingle(!single)}
            onFailed={onFailed}
          />
        ))}
      </div>
    </div>
  );
}

/** Arrow keys change the window, with Shift they move; plus and minus zoom. Gives back whether the key was one of them. */
function arrow(pane: Pane, event: KeyboardEvent): boolean {
  const ways: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const way = ways[event.key];
  if (way !== undefined) {
    if (event.shiftKey) void pane.nudge(way[0] * MOVE_STEP, way[1] * MOVE_STEP);
    else void pane.nudgeWindow(way[1] * WINDOW_STEP, way[0] * WINDOW_STEP);
    return true;
  }
  if (event.key === '+' || event.key === '=') void pane.zoom(ZOOM_STEP);
  else if (event.key === '-') void pane.zoom(1 / ZOOM_STEP);
  else return false;
  return true;
}

/** Draws anew when the space for the images changes. */
function useResize(grid: { current: HTMLDivElement | null }, panes: Map<View, Pane>, single: View | null) {
  useEffect(() => {
    const element = grid.current;
    if (element === null) return;
    const resized = () => {
      if (panes.size === 0) return;
      void viewerCore()
        .then(({ resizeAll }) => resizeAll())
        .then(() => panes.forEach((pane) => void pane.refit()));
    };
    const observer = new ResizeObserver(resized);
    observer.observe(element);
    resized();
    return () => observer.disconnect();
  }, [grid, panes, single]);
}

interface PaneBoxProps {
  view: View;
  source: Source | null;
  map: Blob | null;
  opacity: number;
  active: boolean;
  single: boolean;
  empty: ComponentChildren;
  panes: Map<View, Pane>;
  onActive: () => void;
  onSingle: () => void;
  onFailed: ((view: View, key: string) => void) | undefined;
}

function PaneBox({ view, source, map, opacity, active, single, empty, panes, onActive, onSingle, onFailed }: PaneBoxProps) {
  const { t } = useWords();
  const element = useRef<HTMLDivElement>(null);
  const overlay = useRef<HTMLCanvasElement>(null);
  const [shown, setShown] = useState<Shown | null>(null);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    setShown(null);
    setFailed(false);
    if (source === null || element.current === null || overlay.current === null) return;
    const pane = new Pane(view, element.current, overlay.current, {
      shown: setShown,
      failed: () => {
        setFailed(true);
        onFailed?.(view, source.key);
      },
    });
    // The one before it has to give its place up first.
    const before = ending.get(view) ?? Promise.resolve();
    panes.set(view, pane);
    void before.then(() => pane.show(source));
    return () => {
      panes.delete(view);
      ending.set(
        view,
        before.then(() => pane.end()).catch(() => undefined),
      );
    };
  }, [source?.key, view]);

  const there = shown !== null;
  useEffect(() => {
    if (there) void panes.get(view)?.setMap(map);
  }, [map, there, view]);

  const classes = ['pane', `pane-${view.startsWith('R') ? 'right' : 'left'}`, active ? 'pane-active' : '', single ? 'pane-single' : ''];
  const label = there ? t('viewer.image', { view: t(`view.${view}`), columns: shown.columns, rows: shown.rows }) : t(`view.${view}`);
  return (
    <div class={classes.filter(Boolean).join(' ')} data-state={failed ? 'failed' : there ? 'shown' : source === null ? 'empty' : 'loading'}>
      <div
        class="pane-image"
        ref={element}
        data-view={view}
        role="group"
        tabIndex={source === null ? -1 : 0}
        aria-label={label}
        onFocus={onActive}
        onPointerDown={onActive}
        onDblClick={onSingle}
        onContextMenu={(event) => event.preventDefault()}
        onWheel={(event) => {
          event.preventDefault();
          const { left, top } = event.currentTarget.getBoundingClientRect();
          void panes.get(view)?.zoom(Math.exp(-event.deltaY * WHEEL_STEP), [event.clientX - left, event.clientY - top]);
        }}
      />
      <canvas class="pane-overlay" ref={overlay} style={{ opacity }} data-map={map === null ? 'none' : 'drawn'} />
      <div class="pane-name">{t(`view.${view}`)}</div>
      {there && (
        <div class="pane-values">
          {t('viewer.window-values', shown.window)}
          {shown.mirrored && ` · ${t('viewer.mirrored')}`}
        </div>
      )}
      {source === null && <div class="pane-empty">{empty}</div>}
      {source !== null && !there && !failed && <div class="pane-empty pane-wait">{t('viewer.loading')}</div>}
      {failed && <div class="pane-empty">{t('viewer.failed')}</div>}
    </div>
  );
}

/** Viewports that are being taken away: one of the same name can be made after that. */
const ending = new Map<View, Promise<void>>();
