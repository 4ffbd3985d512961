// Beside the images, before they are sent: what is there, what is wrong, whether the enclave is verified.

import { VIEWS } from '../api/types';
import type { Enclaves, View } from '../api/types';
import { patientOf } from '../exam/draft';
import type { Finding, Hanging, Item } from '../exam/draft';
import { useWords } from '../i18n';
import { ChooseFiles } from '../parts/common';
import { EnclaveSummary } from '../parts/EnclaveSummary';
import { Icon } from '../parts/Icon';
import { addFiles, changeItem, clearDraft, draft, removeItem } from '../state/drafts';
import type { Draft } from '../state/drafts';
import { MOST_FILES } from '../exam/draft';

interface DraftPanelProps {
  draft: Draft;
  hanging: Hanging;
  enclaves: Enclaves | null;
  busy: boolean;
  onSend: () => void;
}

export function DraftPanel({ draft: now, hanging, enclaves, busy, onSend }: DraftPanelProps) {
  const { t } = useWords();
  const placed = VIEWS.length - hanging.missing.length;
  // Why nothing can be sent comes before everything else.
  const blocked = enclaves !== null && !enclaves.can_send;
  return (
    <aside class="panel" aria-label={t('new.title')}>
      <div class="panel-scroll">
        {blocked && <EnclaveSummary enclaves={enclaves} />}
        <section class="panel-section" aria-labelledby="views-title">
          <div class="section-head">
            <h2 id="views-title">{t('new.views')}</h2>
            <span class="quiet numbers">{t('new.views.count', { n: placed })}</span>
          </div>
          <ViewChecklist hanging={hanging} />
          <Patient items={now.items} />
          {now.items.length > 0 && (
            <div class="buttons">
              <ChooseFiles words={t('new.choose')} multiple onFiles={(files) => void addFiles(files)} />
              <button type="button" class="button button-quiet" onClick={clearDraft} disabled={busy}>
                {t('new.clear')}
              </button>
            </div>
          )}
        </section>
        <Findings hanging={hanging} draft={now} />
        {!blocked && <EnclaveSummary enclaves={enclaves} />}
      </div>
      <SendBox draft={now} hanging={hanging} enclaves={enclaves} busy={busy} onSend={onSend} />
    </aside>
  );
}

function ViewChecklist({ hanging }: { hanging: Hanging }) {
  const { t } = useWords();
  return (
    <ul class="view-checklist">
      {VIEWS.map((view) => {
        const item = hanging.slots[view];
        return (
          <li key={view} class={item === null ? 'missing' : 'there'}>
            <Icon name={item === null ? 'dash' : 'check'} />
            <span>{t(`view.${view}`)}</span>
            <span class="hidden">{t(item === null ? 'new.view.missing' : 'new.view.there')}</span>
            {item !== null && (
              <button
                type="button"
                class="remove"
                aria-label={t('new.remove.view', { view: t(`view.${view}`) })}
                onClick={() => removeItem(item.key)}
              >
                <Icon name="cross" />
              </button>
            )}
          </li>
        );
      })}
    </ul>
  );
}

function Patient({ items }: { items: Item[] }) {
  const { t } = useWords();
  const patient = patientOf(items);
  if (patient === null || (patient.name === null && patient.id === null)) return null;
  const date = /^(\d{4})(\d{2})(\d{2})$/.exec(patient.studyDate ?? '');
  return (
    <p class="patient">
      <span class="quiet">{t('new.patient')}</span>
      <strong>{[patient.name, patient.id].filter(Boolean).join(' · ')}</strong>
      {date !== null && <span class="quiet">{t('new.study-date', { date: `${date[1]}-${date[2]}-${date[3]}` })}</span>}
    </p>
  );
}

function Findings({ hanging, draft: now }: { hanging: Hanging; draft: Draft }) {
  const { t } = useWords();
  if (hanging.findings.length === 0 && !now.tooMany && !now.allowMissing) return null;
  return (
    <section class="panel-section" aria-labelledby="findings-title">
      <h2 id="findings-title">{t('new.findings')}</h2>
      <ul class="findings" aria-live="polite">
        {hanging.findings.map((finding) => (
          <FindingRow key={`${finding.id}-${finding.items.map((item) => item.key).join('-')}`} finding={finding} all={now.items} />
        ))}
        {now.tooMany && <li class="finding">{t('new.too-many', { n: MOST_FILES })}</li>}
      </ul>
      {hanging.missing.length > 0 && hanging.missing.length < VIEWS.length && (
        <label class="checkbox">
          <input
            type="checkbox"
            checked={now.allowMissing}
            onChange={(event) => draft.set({ ...draft.get(), allowMissing: event.currentTarget.checked })}
          />
          <span>{t('new.allow-missing')}</span>
        </label>
      )}
    </section>
  );
}

function FindingRow({ finding, all }: { finding: Finding; all: Item[] }) {
  const { t, bytes } = useWords();
  const views = finding.views.map((view) => t(`view.${view}`)).join(', ');
  return (
    <li class={finding.blocks ? 'finding finding-blocks' : 'finding'} data-finding={finding.id}>
      <Icon name={finding.blocks ? 'warning' : 'info'} />
      <div>
        <p>{t(`finding.${finding.id}`, { views })}</p>
        {finding.items.map((item) => (
          <div key={item.key} class="finding-file">
            <span class="quiet">
              {t('new.file', { n: all.indexOf(item) + 1, media: MEDIA[item.media], size: bytes(item.file.size) })}
              {item.view !== null && ` · ${t(`view.${item.view}`)}`}
            </span>
            {finding.id === 'choose-view' && <ViewPicker item={item} />}
            <button type="button" class="link" onClick={() => removeItem(item.key)}>
              {t('new.remove')}
            </button>
          </div>
        ))}
      </div>
    </li>
  );
}

const MEDIA: Record<Item['media'], string> = { dicom: 'DICOM', png: 'PNG', other: '?' };

function ViewPicker({ item }: { item: Item }) {
  const { t } = useWords();
  return (
    <select
      aria-label={t('new.view.choose')}
      value=""
      onChange={(event) => changeItem(item.key, { view: event.currentTarget.value as View })}
    >
      <option value="" disabled>
        {t('new.view.pick')}
      </option>
      {VIEWS.map((view) => (
        <option key={view} value={view}>
          {t(`view.${view}`)}
        </option>
      ))}
    </select>
  );
}

function SendBox({ draft: now, hanging, enclaves, busy, onSend }: DraftPanelProps) {
  const { t } = useWords();
  const blocked = enclaves !== null && !enclaves.can_send;
  const hint =
    enclaves === null
      ? 'new.send.checking'
      : blocked
        ? 'new.send.hint.enclave'
        : now.items.length === 0
          ? 'new.send.hint.files'
          : hanging.ready
            ? 'new.send.hint.ready'
            : 'new.send.hint.findings';
  const ready = enclaves?.can_send === true && hanging.ready && !busy;
  return (
    <form
      class={blocked ? 'send send-blocked' : 'send'}
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) onSend();
      }}
    >
      <label class="field">
        <span>{t('new.label')}</span>
        <input
          type="text"
          maxLength={64}
          autocomplete="off"
          value={now.label}
          aria-describedby="label-hint"
          onInput={(event) => draft.set({ ...draft.get(), label: event.currentTarget.value })}
        />
        <span class="quiet" id="label-hint">
          {t('new.label.hint')}
        </span>
      </label>
      <button type="submit" class="button button-primary button-large" disabled={!ready} aria-describedby="send-hint">
        <Icon name={blocked ? 'shield-off' : 'up'} />
        {t(blocked ? 'new.send.blocked' : 'new.send')}
      </button>
      <p id="send-hint" class={blocked ? 'bad-text' : 'quiet'}>
        {t(hint)}
      </p>
    </form>
  );
}
