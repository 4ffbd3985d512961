// Each enclave with every check, its value and what it means.

import { useState } from 'preact/hooks';
import { useWords } from '../i18n';
import { EnclaveCard } from '../parts/Checks';
import { Banner, useTitle } from '../parts/common';
import { enclaves, refreshEnclaves } from '../state/page';
import { useStore } from '../state/store';

export function EnclaveScreen() {
  const { t } = useWords();
  const heading = useTitle(t('enclave.title'));
  const now = useStore(enclaves);
  const [busy, setBusy] = useState(false);
  const check = () => {
    setBusy(true);
    void refreshEnclaves(true).finally(() => setBusy(false));
  };
  return (
    <div class="screen screen-text">
      <h1 tabIndex={-1} ref={heading.ref}>
        {t('enclave.title')}
      </h1>
      <p class="lead">{t('enclave.lead')}</p>
      {now !== null && (
        <Banner
          kind={now.can_send ? 'good' : 'bad'}
          title={t(now.can_send ? 'enclave.can-send' : 'enclave.cannot-send')}
          live={!now.can_send}
        />
      )}
      <p>
        <button type="button" class="button" disabled={busy} onClick={check}>
          {t(busy ? 'enclave.checking' : 'enclave.check')}
        </button>
      </p>
      {now === null && <p class="quiet">{t('start.loading')}</p>}
      {now?.enclaves.map((enclave) => (
        <EnclaveCard key={enclave.name} enclave={enclave} details open />
      ))}
    </div>
  );
}
