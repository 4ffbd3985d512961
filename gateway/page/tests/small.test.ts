import { describe, expect, it } from 'vitest';
import { parseRoute } from '../src/state/route';
import { store } from '../src/state/store';
import { colour, FLOOR } from '../src/viewer/ramp';

describe('the address', () => {
  it.each([
    ['', { screen: 'new' }],
    ['#/', { screen: 'new' }],
    ['#/exams', { screen: 'exams' }],
    ['#/exams/a%2Fb', { screen: 'exam', id: 'a/b' }],
    ['#/exams/%', { screen: 'exam', id: '%' }],
    ['#/receipt', { screen: 'receipt' }],
    ['#/enclave', { screen: 'enclave' }],
    ['#/nothing', { screen: 'new' }],
  ])('%s leads to its screen', (hash, screen) => {
    expect(parseRoute(hash)).toEqual(screen);
  });
});

describe('the overlay’s colours', () => {
  const brightness = (value: number) => {
    const [red, green, blue] = colour(value);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };

  it('grow brighter with the value, so that they are told apart without seeing colours', () => {
    const steps = Array.from({ length: 21 }, (_, n) => brightness(n / 20));
    expect(steps).toEqual([...steps].sort((a, b) => a - b));
  });

  it('are not there where the network did not look', () => {
    expect([colour(0)[3], colour(FLOOR)[3], colour(1)[3]]).toEqual([0, 0, 255]);
  });

  it('hold values that are out of range', () => {
    expect([colour(-1), colour(7)]).toEqual([colour(0), colour(1)]);
  });
});

it('tells watchers of a value only when it changed', () => {
  const value = store(1);
  const seen: number[] = [];
  const stop = value.watch((now) => seen.push(now));
  value.set(1);
  value.set(2);
  value.update((now) => now + 1);
  stop();
  value.set(9);
  expect(seen).toEqual([2, 3]);
});
