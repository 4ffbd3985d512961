import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as api from '../src/api/client';
import { Problem, problemFrom, problemName } from '../src/api/problem';
import { Mock } from '../mock/server';

let mock: Mock;

beforeEach(async () => {
  mock = new Mock({ signIn: 'password', pace: 1 });
  const address = await mock.listen();
  const real = globalThis.fetch;
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => real(`${address}${path}`, init));
});

afterEach(async () => {
  vi.unstubAllGlobals();
  await mock.close();
});

const refusal = async (asked: Promise<unknown>) => {
  const error: unknown = await asked.catch((reason: unknown) => reason);
  if (!(error instanceof Problem)) throw new Error('it was not refused');
  return { type: error.type, status: error.status };
};

describe('the client', () => {
  it('is refused with a wrong password, by name', async () => {
    expect(await refusal(api.signIn('reader', 'wrong'))).toEqual({ type: 'sign-in-refused', status: 401 });
  });

  it('is let in with the right one, and sends back what proves that a change comes from the page', async () => {
    expect((await api.signIn('reader', 'correct horse')).user?.name).toBe('reader');
    expect((await api.checkEnclaves()).can_send).toBe(true);
  });

  it('asks for a new word where the one that it has no longer counts', async () => {
    await api.signIn('reader', 'correct horse');
    api.keepCsrf('that of a gateway that is no more');
    expect((await api.checkEnclaves()).can_send).toBe(true);
  });

  it('is refused where the new word does not count either', async () => {
    await api.signIn('reader', 'correct horse');
    mock.told = 'something else';
    api.keepCsrf('something else');
    expect(await refusal(api.checkEnclaves())).toEqual({ type: 'not-meant', status: 403 });
  });

  it('hears that there is no such exam', async () => {
    await api.signIn('reader', 'correct horse');
    expect(await refusal(api.exam('nothing/../else'))).toEqual({ type: 'not-found', status: 404 });
  });

  it('tells what is no receipt', async () => {
    await api.signIn('reader', 'correct horse');
    expect(await refusal(api.checkReceipt(new Blob(['nothing'])))).toEqual({ type: 'not-a-receipt', status: 422 });
  });

  it('says that it is offline when nobody answers', async () => {
    await mock.close();
    expect(await refusal(api.session())).toEqual({ type: 'offline', status: 0 });
    mock = new Mock();
    await mock.listen();
  });
});

describe('a refusal', () => {
  it.each([
    ['https://cloister.example/problems/queue-full', 'queue-full'],
    ['urn:problem:queue-full', 'queue-full'],
    ['queue-full', 'queue-full'],
    [undefined, 'unknown'],
  ])('of type %s is called %s', (type, name) => {
    expect(problemName(type)).toBe(name);
  });

  it('keeps how long to wait', () => {
    expect(problemFrom(503, '{"type":"queue-full","detail":"full"}', '30')).toMatchObject({
      type: 'queue-full',
      detail: 'full',
      retryAfter: 30,
    });
  });

  it('in words of a proxy has no name', () => {
    expect(problemFrom(502, '<html>Bad gateway</html>', null)).toMatchObject({ type: 'unknown', status: 502 });
  });
});
