// Which keys do what.

import { useWords } from '../i18n';
import type { Key } from '../i18n';
import { Dialog } from './common';

const KEYS: { title: Key; rows: [string, Key][] }[] = [
  {
    title: 'help.anywhere',
    rows: [
      ['Alt 1', 'help.go-new'],
      ['Alt 2', 'help.go-list'],
      ['Alt 3', 'help.go-receipt'],
      ['Alt 4', 'help.go-enclave'],
      ['?', 'help.help'],
    ],
  },
  {
    title: 'help.images',
    rows: [
      ['1 2 3 4', 'help.focus'],
      ['W P Z', 'help.tools'],
      ['← → ↑ ↓', 'help.window'],
      ['⇧ ← → ↑ ↓', 'help.move'],
      ['+ −', 'help.zoom'],
      ['I', 'help.invert'],
      ['R', 'help.reset'],
      ['F', 'help.single'],
      ['O', 'help.overlay'],
    ],
  },
  {
    title: 'help.list',
    rows: [
      ['/', 'help.search'],
      ['↑ ↓', 'help.rows'],
      ['↵', 'help.open'],
    ],
  },
];

export function Help({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  return (
    <Dialog title={t('help.title')} onClose={onClose}>
      <div class="help">
        {KEYS.map(({ title, rows }) => (
          <section key={title}>
            <h3>{t(title)}</h3>
            <dl>
              {rows.map(([keys, words]) => (
                <div key={keys}>
                  <dt>
                    {keys.split(' ').map((key) => (
                      <kbd key={key}>{key}</kbd>
                    ))}
                  </dt>
                  <dd>{t(words)}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <form method="dialog" class="buttons">
        <button type="submit" class="button">
          {t('help.close')}
        </button>
      </form>
    </Dialog>
  );
}
