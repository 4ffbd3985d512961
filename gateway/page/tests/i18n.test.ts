import { describe, expect, it } from 'vitest';
import { CHECKS } from '../src/api/types';
import { checkMeanings, checkNames, findings } from '../src/i18n/closed';
import { en } from '../src/i18n/en';
import { fill, words } from '../src/i18n';
import { problems } from '../src/i18n/problems';
import { zh } from '../src/i18n/zh';

const names = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort();
const chinese: Record<string, string> = zh;

describe('both languages', () => {
  it('have the same keys', () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  });

  it.each(Object.entries(en))('fill the same values into %s', (key, text) => {
    expect(names(chinese[key] ?? '')).toEqual(names(text));
  });

  it('leave nothing empty, and no Chinese text in English letters alone', () => {
    const same = ['app.name', 'source.stow'];
    for (const [key, text] of Object.entries(zh)) {
      expect(text, key).not.toBe('');
      if (!same.includes(key) && !/^[{}\w\s/·.]*\{/.test(text)) expect(text, key).toMatch(/\p{Script=Han}/u);
    }
  });

  it.each([
    ['problems', problems],
    ['findings', findings],
    ['names of checks', checkNames],
    ['meanings of checks', checkMeanings],
  ])('have words for all %s', (_, list) => {
    for (const [name, pair] of Object.entries(list)) {
      expect(pair.en, name).toMatch(/^[A-Z]/);
      expect(pair.zh, name).toMatch(/\p{Script=Han}/u);
    }
  });

  it('explain each check of an attestation', () => {
    for (const spoken of ['en', 'zh'] as const) {
      const { known } = words(spoken);
      for (const id of CHECKS) expect([known('check', id), known('check-meaning', id)]).not.toContain(null);
    }
  });
});

it('fills values in, and leaves what it has none for', () => {
  expect(fill('{n} of {total}', { n: 3 })).toBe('3 of {total}');
});

it('knows no words for a name that is in no list, such as one that every object has', () => {
  expect(words('en').known('problem', 'constructor')).toBeNull();
});

it('says numbers with the same digits each time', () => {
  const { score, bytes } = words('en');
  expect([score(0.5), score(1), bytes(27_263_446)]).toEqual(['0.500', '1.000', '27.3 MB']);
});
