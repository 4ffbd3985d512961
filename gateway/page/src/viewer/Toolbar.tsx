// What can be done to the images with the mouse, and the overlay's slider.

import { Icon } from '../parts/Icon';
import type { IconName } from '../parts/Icon';
import { useWords } from '../i18n';
import type { Key } from '../i18n';
import { legend } from './ramp';
import type { Tool } from './core';

const TOOLS: { tool: Tool; icon: IconName; key: Key; shortcut: string }[] = [
  { tool: 'window', icon: 'window', key: 'viewer.window', shortcut: 'W' },
  { tool: 'pan', icon: 'pan', key: 'viewer.pan', shortcut: 'P' },
  { tool: 'zoom', icon: 'zoom', key: 'viewer.zoom', shortcut: 'Z' },
];

export interface ToolbarProps {
  tool: Tool;
  single: boolean;
  /** Null where the exam has no overlay, and none is to come. */
  opacity: number | null;
  disabled: boolean;
  onTool: (tool: Tool) => void;
  onInvert: () => void;
  onReset: () => void;
  onSingle: () => void;
  onOpacity: (opacity: number) => void;
}

export function Toolbar(props: ToolbarProps) {
  const { t } = useWords();
  const { tool, single, opacity, disabled } = props;
  return (
    <div class="toolbar" role="toolbar" aria-label={t('viewer.tools')}>
      <div class="toolbar-group">
        {TOOLS.map(({ tool: each, icon, key, shortcut }) => (
          <button
            key={each}
            type="button"
            class="tool"
            aria-pressed={tool === each}
            aria-keyshortcuts={shortcut}
            title={`${t(key)} (${shortcut})`}
            disabled={disabled}
            onClick={() => props.onTool(each)}
          >
            <Icon name={icon} />
            <span>{t(key)}</span>
          </button>
        ))}
      </div>
      <div class="toolbar-group">
        <Action icon="invert" words={t('viewer.invert')} shortcut="I" disabled={disabled} onClick={props.onInvert} />
        <Action icon="reset" words={t('viewer.reset')} shortcut="R" disabled={disabled} onClick={props.onReset} />
        <Action
          icon={single ? 'four' : 'single'}
          words={t(single ? 'viewer.four' : 'viewer.single')}
          shortcut="F"
          disabled={disabled}
          onClick={props.onSingle}
        />
      </div>
      {opacity !== null && <OverlaySlider opacity={opacity} onOpacity={props.onOpacity} />}
    </div>
  );
}

function Action(props: { icon: IconName; words: string; shortcut: string; disabled: boolean; onClick: () => void }) {
  return (
    <button
      type="button"
      class="tool"
      aria-keyshortcuts={props.shortcut}
      title={`${props.words} (${props.shortcut})`}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
      <span>{props.words}</span>
    </button>
  );
}

function OverlaySlider({ opacity, onOpacity }: { opacity: number; onOpacity: (opacity: number) => void }) {
  const { t } = useWords();
  return (
    <div class="toolbar-group overlay-control">
      <label>
        <span>{t('viewer.overlay')}</span>
        <input
          type="range"
          min="0"
          max="100"
          step="5"
          value={Math.round(opacity * 100)}
          aria-valuetext={`${Math.round(opacity * 100)} %`}
          onInput={(event) => onOpacity(Number(event.currentTarget.value) / 100)}
        />
      </label>
      <span class="overlay-legend" title={t('viewer.overlay.meaning')}>
        <span class="overlay-ramp" style={{ backgroundImage: legend() }} />
        <span>{t('viewer.overlay.legend')}</span>
      </span>
    </div>
  );
}
