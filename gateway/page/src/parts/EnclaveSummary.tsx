// Whether the enclaves are trusted, beside the images.

import type { Enclaves } from '../api/types';
import { useWords } from '../i18n';
import { ADDRESS } from '../state/route';
import { EnclaveCard } from './Checks';

export function EnclaveSummary({ enclaves }: { enclaves: Enclaves | null }) {
  const { t } = useWords();
  if (enclaves === null) return null;
  // With several, the ones that can be sent to say what matters; with none of those, all say why.
  const verified = enclaves.enclaves.filter((enclave) => enclave.state === 'verified');
  const shown = enclaves.can_send && verified.length > 0 ? verified : enclaves.enclaves;
  return (
    <section class="panel-section" aria-labelledby="enclave-title" aria-live="polite">
      <div class="section-head">
        <h2 id="enclave-title">{t('enclave.title')}</h2>
        <a href={ADDRESS.enclave}>{t('enclave.details')}</a>
      </div>
      {enclaves.enclaves.length === 0 && <p class="bad-text">{t('enclave.state.none')}</p>}
      {shown.map((enclave) => (
        <EnclaveCard key={enclave.name} enclave={enclave} details={false} />
      ))}
    </section>
  );
}
