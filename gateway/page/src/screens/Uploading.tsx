// Over the images while they are sent, and when that did not work.

import { useEffect, useState } from 'preact/hooks';
import type { Problem } from '../api/problem';
import { useWords } from '../i18n';
import { Banner, problemWords } from '../parts/common';
import type { Sending } from './NewExam';

interface UploadingProps {
  sending: Sending | null;
  failure: Problem | null;
  onCancel: () => void;
  onRetry: () => void;
  onBack: () => void;
}

export function Uploading({ sending, failure, onCancel, onRetry, onBack }: UploadingProps) {
  const words = useWords();
  const { t, bytes } = words;
  if (sending !== null) {
    const { sent, total } = sending;
    const share = total > 0 ? sent / total : 0;
    return (
      <div class="veil">
        <div class="veil-box" role="group" aria-labelledby="upload-title">
          <h2 id="upload-title">{t('upload.title')}</h2>
          <progress max={100} value={Math.round(share * 100)} aria-labelledby="upload-title" />
          <p class="quiet numbers">{t('upload.progress', { sent: bytes(sent), total: bytes(total) })}</p>
          <button type="button" class="button" onClick={onCancel}>
            {t('upload.cancel')}
          </button>
        </div>
      </div>
    );
  }
  if (failure === null) return null;
  return (
    <div class="veil">
      <div class="veil-box">
        <Banner kind="bad" title={t('upload.failed')} live>
          <p>{problemWords(words, failure)}</p>
          <p class="quiet">{t('upload.kept')}</p>
        </Banner>
        <div class="buttons">
          <Again after={failure.retryAfter} onRetry={onRetry} />
          <button type="button" class="button" onClick={onBack}>
            {t('upload.back')}
          </button>
        </div>
      </div>
    </div>
  );
}

/** Waits as long as the gateway asked to. */
function Again({ after, onRetry }: { after: number | null; onRetry: () => void }) {
  const { t } = useWords();
  const [left, setLeft] = useState(after ?? 0);
  useEffect(() => {
    if (left <= 0) return;
    const timer = setTimeout(() => setLeft(left - 1), 1000);
    return () => clearTimeout(timer);
  }, [left]);
  return (
    <button type="button" class="button button-primary" disabled={left > 0} onClick={onRetry}>
      {left > 0 ? t('upload.wait', { n: left }) : t('upload.retry')}
    </button>
  );
}
