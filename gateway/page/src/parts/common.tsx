// Small things that several screens use.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ExamState } from '../api/types';
import { OFFLINE, Problem } from '../api/problem';
import { useWords } from '../i18n';
import type { Words } from '../i18n';
import { Icon } from './Icon';
import type { IconName } from './Icon';

/** What went wrong, in the page's words where it knows them, else in the gateway's. */
export function problemWords({ known }: Words, problem: Problem): string {
  return known('problem', problem.type) ?? (problem.detail === '' ? problem.type : problem.detail);
}

/** Any error as a Problem. */
export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(OFFLINE, '', 0);
}

const STATE_ICONS: Record<ExamState, IconName> = {
  receiving: 'up',
  received: 'clock',
  verified: 'shield',
  sent: 'clock',
  answered: 'check',
  delivered: 'check',
  failed: 'warning',
  abstained: 'dash',
};

export function StateChip({ state }: { state: ExamState }) {
  const { t } = useWords();
  return (
    <span class={`chip chip-${state}`}>
      <Icon name={STATE_ICONS[state]} />
      {t(`state.${state}`)}
    </span>
  );
}

export function Banner(props: { kind: 'bad' | 'warn' | 'good' | 'info'; title: string; children?: ComponentChildren; live?: boolean }) {
  const icons: Record<typeof props.kind, IconName> = { bad: 'warning', warn: 'info', good: 'check', info: 'info' };
  return (
    <div class={`banner banner-${props.kind}`} role={props.live === true ? 'alert' : undefined}>
      <Icon name={icons[props.kind]} />
      <div>
        <strong>{props.title}</strong>
        {props.children}
      </div>
    </div>
  );
}

/** Takes files that are dropped anywhere on it, or chosen. */
export function DropTarget(props: { onFiles: (files: File[]) => void; class?: string; children: ComponentChildren }) {
  const [over, setOver] = useState(0);
  const { t } = useWords();
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') === true;
  return (
    <div
      class={`drop-target ${props.class ?? ''} ${over > 0 ? 'drop-over' : ''}`}
      onDragEnter={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        setOver((n) => n + 1);
      }}
      onDragLeave={() => setOver((n) => Math.max(0, n - 1))}
      onDragOver={(event) => {
        if (hasFiles(event)) event.preventDefault();
      }}
      onDrop={(event) => {
        event.preventDefault();
        setOver(0);
        props.onFiles([...(event.dataTransfer?.files ?? [])]);
      }}
    >
      {props.children}
      {over > 0 && (
        <div class="drop-veil" aria-hidden="true">
          <Icon name="drop" />
          {t('new.drop.now')}
        </div>
      )}
    </div>
  );
}

/** A button that opens the system's choice of files. */
export function ChooseFiles(props: { words: string; multiple: boolean; onFiles: (files: File[]) => void; primary?: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" class={props.primary === true ? 'button button-primary' : 'button'} onClick={() => input.current?.click()}>
        {props.words}
      </button>
      <input
        ref={input}
        type="file"
        class="hidden"
        tabIndex={-1}
        aria-hidden="true"
        multiple={props.multiple}
        onChange={(event) => {
          props.onFiles([...(event.currentTarget.files ?? [])]);
          // The same file can be chosen again.
          event.currentTarget.value = '';
        }}
      />
    </>
  );
}

/** A native dialog, which keeps the focus inside and closes on Escape. */
export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} aria-labelledby="dialog-title" onClose={props.onClose}>
      <h2 id="dialog-title">{props.title}</h2>
      {props.children}
    </dialog>
  );
}

/** The page's title in the browser, and the focus on the screen's own heading, for whoever cannot see that the screen changed. */
export function useTitle(title: string): { ref: (element: HTMLHeadingElement | null) => void } {
  const name = useWords().t('app.name');
  useEffect(() => {
    document.title = `${title} · ${name}`;
  }, [title, name]);
  const first = useRef(true);
  return {
    ref: (element) => {
      if (element === null || !first.current) return;
      first.current = false;
      if (
        document.activeElement === null ||
        document.activeElement === document.body ||
        document.activeElement instanceof HTMLAnchorElement
      ) {
        element.focus({ preventScroll: true });
      }
    },
  };
}
