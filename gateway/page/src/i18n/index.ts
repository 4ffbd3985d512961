// Which language the page speaks, and how it says things.

import { store, useStore } from '../state/store';
import { en } from './en';
import type { Key } from './en';
import { closedWords } from './closed';
import type { ClosedKind } from './closed';
import { zh } from './zh';

export type { Key } from './en';
export const LANGUAGES = { en: 'English', zh: '简体中文' } as const;
export type Language = keyof typeof LANGUAGES;

const TEXTS: Record<Language, Record<Key, string>> = { en, zh };
const LOCALES: Record<Language, string> = { en: 'en-GB', zh: 'zh-CN' };
const KEPT = 'cloister.language';

export const language = store<Language>(firstLanguage());

function firstLanguage(): Language {
  try {
    const kept = localStorage.getItem(KEPT);
    if (kept === 'en' || kept === 'zh') return kept;
    return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
  } catch {
    return 'en';
  }
}

export function chooseLanguage(next: Language): void {
  try {
    localStorage.setItem(KEPT, next);
  } catch {
    // Without storage it is not remembered.
  }
  language.set(next);
}

export type Params = Record<string, string | number>;

/** A text with its `{names}` filled in. */
export function fill(text: string, params: Params = {}): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(params[name] ?? whole));
}

export interface Words {
  language: Language;
  t: (key: Key, params?: Params) => string;
  /** The words for a name of one of the gateway's or the enclave's closed lists; null where the page knows none. */
  known: (kind: ClosedKind, name: string) => string | null;
  time: (rfc3339: string) => string;
  clock: (rfc3339: string) => string;
  bytes: (n: number) => string;
  score: (value: number) => string;
}

export function words(spoken: Language): Words {
  const locale = LOCALES[spoken];
  const whole = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });
  const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' });
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  const shown = (format: Intl.DateTimeFormat, text: string) => {
    const at = new Date(text);
    return Number.isNaN(at.getTime()) ? text : format.format(at);
  };
  return {
    language: spoken,
    t: (key, params) => fill(TEXTS[spoken][key], params),
    known: (kind, name) => closedWords(spoken, kind, name),
    time: (text) => shown(whole, text),
    clock: (text) => shown(clock, text),
    bytes: (n) => (n < 1e3 ? `${n} B` : n < 1e6 ? `${number.format(n / 1e3)} kB` : `${number.format(n / 1e6)} MB`),
    // Always the same digits, so that columns of numbers align.
    score: (value) => value.toFixed(3),
  };
}

export function useWords(): Words {
  return words(useStore(language));
}
