// What a real gateway does seldom: full queues, failures, images that were deleted. With a stand-in.

import { expect, test } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { Mock } from '../mock/server.ts';
import { allShown, ENCODED, drop, files } from './support/page.ts';

let mock: Mock;

test.beforeEach(async ({ page }) => {
  mock = new Mock();
  await page.goto(await mock.listen());
  await page.locator('.invitation').waitFor();
  await drop(page.locator('.screen'), files(ENCODED));
  await allShown(page);
});
test.afterEach(() => mock.close());

test('a full queue is told with how long to wait, and sending again works', async ({ page }) => {
  mock.scenario.refuse = { type: 'queue-full', status: 503, retryAfter: 2 };
  await page.getByRole('button', { name: 'Send to the enclave' }).click();
  await expect(page.getByText('The queue is full')).toBeVisible();
  await expect(page.getByRole('button', { name: /It can be tried again in \d s/ })).toBeDisabled();
  mock.scenario.refuse = null;
  await page.getByRole('button', { name: 'Send again' }).click();
  await page.locator('.breast-above').waitFor();
});

test('an exam that failed says why, and is tried again without dropping anything', async ({ page }) => {
  mock.scenario.outcome = 'failed';
  await page.getByRole('button', { name: 'Send to the enclave' }).click();
  await expect(page.getByText('The exam failed')).toBeVisible();
  await expect(page.getByText('The enclave could not be reached')).toBeVisible();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.locator('.breast-above').waitFor();
});

test('images that were deleted are shown again when the same files are dropped, and no others', async ({ page }) => {
  mock.scenario.keepImages = false;
  await page.getByRole('button', { name: 'Send to the enclave' }).click();
  await page.locator('.breast-above').waitFor();
  // Another browser's page has no files.
  await page.reload();
  await expect(page.getByText('The images were deleted after delivery')).toBeVisible();
  await drop(page.locator('.screen'), [{ name: 'x', bytes: Buffer.concat([readFileSync(ENCODED[0] ?? ''), Buffer.from([0, 0])]) }]);
  await expect(page.getByText('These are not the files of this exam')).toBeVisible();
  await drop(page.locator('.screen'), files(ENCODED));
  await allShown(page);
  await expect(page.locator('.pane-overlay[data-map="drawn"]')).toHaveCount(4);
});

test('scores without an operating point are numbers, and said to say little', async ({ page }) => {
  mock.scenario.point = false;
  await page.getByRole('button', { name: 'Send to the enclave' }).click();
  await expect(page.locator('.breast[data-side="right"]')).toContainText('No operating point is set');
  await expect(page.locator('.breast-above')).toHaveCount(0);
});

test('an upload can be taken back, and the files stay', async ({ page, context }) => {
  const session = await context.newCDPSession(page);
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 8_000 });
  await page.getByRole('button', { name: 'Send to the enclave' }).click();
  await expect(page.getByRole('progressbar')).toBeVisible();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.getByRole('progressbar')).toHaveCount(0);
  await allShown(page);
  expect(mock.exams.size).toBe(0);
});
