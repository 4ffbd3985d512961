// The page's few icons, drawn in one weight. They are decoration: words stand beside each.

const PATHS = {
  check: 'M4 10.5l4 4 8-9',
  cross: 'M5 5l10 10M15 5L5 15',
  dash: 'M5 10h10',
  clock: 'M10 5v5l3 2M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15z',
  warning: 'M10 3L2.5 16.5h15zM10 8v4M10 14.4v.1',
  shield: 'M10 2.5l6.5 2.3v4.7c0 4-2.7 6.8-6.5 8-3.8-1.2-6.5-4-6.5-8V4.8zM7 10l2.2 2.2L13.2 8',
  'shield-off': 'M10 2.5l6.5 2.3v4.7c0 4-2.7 6.8-6.5 8-3.8-1.2-6.5-4-6.5-8V4.8zM7.5 7.5l5 5M12.5 7.5l-5 5',
  window: 'M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15zM10 2.5v15M10 6h4.5M10 10h7M10 14h4.5',
  pan: 'M10 2.5v15M2.5 10h15M10 2.5L8 4.5M10 2.5l2 2M10 17.5l-2-2M10 17.5l2-2M2.5 10l2-2M2.5 10l2 2M17.5 10l-2-2M17.5 10l-2 2',
  zoom: 'M8.5 3a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM12.5 12.5L17 17M8.5 6v5M6 8.5h5',
  invert: 'M3 3h14v14H3zM3 17L17 3M6 6.5h4M11.5 13.5h4M13.5 11.5v4',
  reset: 'M4 10a6 6 0 1 0 2-4.5L4 7.5M4 3.5v4h4',
  single: 'M3 3h14v14H3z',
  four: 'M3 3h14v14H3zM10 3v14M3 10h14',
  down: 'M10 3v10M6 9.5l4 4 4-4M4 17h12',
  up: 'M10 15V4M5.5 8.5L10 4l4.5 4.5M4 17h12',
  above: 'M10 4.5l6.5 11h-13z',
  below: 'M10 15.5l6.5-11h-13z',
  keyboard: 'M2.5 5h15v10h-15zM5.5 8h.1M8.5 8h.1M11.5 8h.1M14.5 8h.1M6 12h8',
  search: 'M8.5 3a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM12.5 12.5L17 17',
  back: 'M12.5 4.5L7 10l5.5 5.5',
  info: 'M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15zM10 9v5M10 6.3v.1',
  drop: 'M3 12v4.5h14V12M10 3v9M6.5 8.5L10 12l3.5-3.5',
} as const;

export type IconName = keyof typeof PATHS;
const FILLED: readonly IconName[] = ['above', 'below'];

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={FILLED.includes(name) ? 'icon icon-filled' : 'icon'} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
