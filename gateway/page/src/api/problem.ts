// A refusal, as RFC 9457 has it, or no answer at all.

/** No answer came: the network, or the gateway, is gone. */
export const OFFLINE = 'offline';

export class Problem extends Error {
  override name = 'Problem';

  constructor(
    /** The last part of the problem's type, such as `queue-full`; `offline` where there was no answer. */
    readonly type: string,
    /** The gateway's own sentence. */
    readonly detail: string,
    readonly status: number,
    /** Seconds until it may be tried again, where the gateway says so. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail === '' ? type : detail);
  }
}

/** The name in a problem's type, which may be a URI: what stands behind the last slash, colon or hash. */
export function problemName(type: unknown): string {
  if (typeof type !== 'string') return 'unknown';
  return /([^/:#]+)$/.exec(type)?.[1] ?? 'unknown';
}

/** Reads a refusal out of an answer's status, body and `Retry-After`. */
export function problemFrom(status: number, body: string, retryAfter: string | null): Problem {
  const seconds = retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : null;
  try {
    const said: unknown = JSON.parse(body);
    if (typeof said === 'object' && said !== null && 'type' in said) {
      const { detail, title } = said as { detail?: unknown; title?: unknown };
      const words = typeof detail === 'string' ? detail : typeof title === 'string' ? title : '';
      return new Problem(problemName(said.type), words, status, seconds);
    }
  } catch {
    // Not JSON: a proxy's page, perhaps.
  }
  return new Problem(status === 401 ? 'sign-in-refused' : 'unknown', '', status, seconds);
}
