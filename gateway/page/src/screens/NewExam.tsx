// The first screen: drop the four views, see that the enclave is verified, send.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { VIEWS } from '../api/types';
import type { View } from '../api/types';
import { upload, CANCELLED } from '../api/upload';
import type { Upload } from '../api/upload';
import type { Problem } from '../api/problem';
import { hangItems, partsOf } from '../exam/draft';
import type { Hanging, Item } from '../exam/draft';
import { useWords } from '../i18n';
import { asProblem, ChooseFiles, DropTarget, useTitle } from '../parts/common';
import { addFiles, changeItem, clearDraft, draft, keepFiles } from '../state/drafts';
import { enclaves, noticeProblem } from '../state/page';
import { ADDRESS, go } from '../state/route';
import { useStore } from '../state/store';
import { viewerCore } from '../viewer/pane';
import type { Source } from '../viewer/pane';
import { Viewer } from '../viewer/Viewer';
import { DraftPanel } from './DraftPanel';
import { Uploading } from './Uploading';

export interface Sending {
  sent: number;
  total: number;
  upload: Upload;
}

export function NewExam() {
  const { t } = useWords();
  const heading = useTitle(t('new.title'));
  const now = useStore(draft);
  const trusted = useStore(enclaves);
  const [sending, setSending] = useState<Sending | null>(null);
  const [failure, setFailure] = useState<Problem | null>(null);
  const hanging = useMemo(() => hangItems(now.items, now.allowMissing), [now]);
  const sources = useSources(hanging);
  useEffect(() => {
    // The viewer's code and its workers are ready before the first file is.
    void viewerCore().then(({ engine }) => engine());
  }, []);

  const send = () => {
    setFailure(null);
    const parts = partsOf(hanging);
    const total = parts.reduce((sum, part) => sum + part.file.size, 0);
    const started = upload(now.label.trim(), parts, now.allowMissing && hanging.missing.length > 0, (sent, of) =>
      setSending({ sent, total: of, upload: started }),
    );
    setSending({ sent: 0, total, upload: started });
    started.done.then(
      (exam) => {
        keepFiles(exam.id, filled(hanging));
        clearDraft();
        go(ADDRESS.exam(exam.id));
      },
      (error: unknown) => {
        const problem = asProblem(error);
        noticeProblem(problem);
        setSending(null);
        if (problem.type !== CANCELLED) setFailure(problem);
      },
    );
  };

  return (
    <DropTarget class="screen screen-viewer" onFiles={(files) => void addFiles(files)}>
      <h1 class="hidden" tabIndex={-1} ref={heading.ref}>
        {t('new.title')}
      </h1>
      <div class="stage">
        <Viewer
          sources={sources}
          maps={null}
          empty={(view) => <EmptyPane view={view} nothing={now.items.length === 0} />}
          onFailed={(view) => {
            const item = hanging.slots[view];
            if (item !== null) changeItem(item.key, { unreadable: true });
          }}
        />
        {now.items.length === 0 && <Invitation />}
        {(sending !== null || failure !== null) && (
          <Uploading
            sending={sending}
            failure={failure}
            onCancel={() => sending?.upload.cancel()}
            onRetry={send}
            onBack={() => setFailure(null)}
          />
        )}
      </div>
      <DraftPanel draft={now} hanging={hanging} enclaves={trusted} busy={sending !== null} onSend={send} />
    </DropTarget>
  );
}

function Invitation() {
  const { t } = useWords();
  return (
    <div class="invitation">
      <h2>{t('new.drop.title')}</h2>
      <p>{t('new.drop.body')}</p>
      <ChooseFiles words={t('new.choose')} multiple primary onFiles={(files) => void addFiles(files)} />
    </div>
  );
}

function EmptyPane({ view, nothing }: { view: View; nothing: boolean }) {
  const { t } = useWords();
  return <span>{nothing ? t('new.empty') : t('new.slot.add', { view: t(`view.${view}`) })}</span>;
}

function filled(hanging: Hanging): Partial<Record<View, Item>> {
  const there: Partial<Record<View, Item>> = {};
  for (const view of VIEWS) {
    const item = hanging.slots[view];
    if (item !== null) there[view] = item;
  }
  return there;
}

/** What the viewer shows; the same object as long as the files are the same. */
function useSources(hanging: Hanging): Record<View, Source | null> {
  const keys = VIEWS.map((view) => hanging.slots[view]?.key ?? '').join();
  return useMemo(() => sourcesOf(hanging.slots), [keys]);
}

export function sourcesOf(slots: Partial<Record<View, Item | null>>): Record<View, Source | null> {
  const source = (view: View): Source | null => {
    const item = slots[view];
    if (!item || item.media === 'other') return null;
    return { key: `${item.key}`, file: item.file, media: item.media, facts: item.facts };
  };
  return { 'R-CC': source('R-CC'), 'L-CC': source('L-CC'), 'R-MLO': source('R-MLO'), 'L-MLO': source('L-MLO') };
}
