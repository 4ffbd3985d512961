// Takes the pictures that docs/clinician.md and docs/hospital-it.md show, into the folder that PICTURES names; not a test.

import { join } from 'node:path';
import { test } from '@playwright/test';
import type { Page } from '@playwright/test';
import { allShown, drop } from './support/page.ts';
import { exam, fogged } from './support/synthetic.ts';
import { Gateway, System } from './support/system.ts';

const FOLDER = process.env.PICTURES ?? '';
test.skip(FOLDER === '', 'PICTURES names no folder');
test.use({ viewport: { width: 1280, height: 800 } });

let system: System;
test.beforeAll(async () => {
  test.setTimeout(300_000);
  system = await System.start();
});
test.afterAll(() => system.end());

const shoot = (page: Page, name: string) => page.screenshot({ path: join(FOLDER, `${name}.png`) });

async function send(page: Page, seed: number, label: string, files = exam(system, seed)): Promise<void> {
  await page.getByRole('link', { name: 'New exam', exact: true }).click();
  await drop(page.locator('.screen'), files);
  await allShown(page);
  await page.getByLabel('Label').fill(label);
  await page.getByRole('button', { name: 'Send to the enclave' }).click();
  await page.locator('.chip-answered, .chip-abstained, .chip-delivered').first().waitFor();
}

test('pictures', async ({ page }) => {
  const point = '[exams]\noperating_point = { label = "malignant", malignant = 0.3, name = "sensitive" }\n';
  const gateway = await Gateway.start(system, 'pictures', system.policy('policy'), { alice: 'correct horse battery' }, point);
  await gateway.ready();
  await page.goto(gateway.address);
  await page.getByLabel('User name').fill('alice');
  await shoot(page, 'sign-in');
  await page.getByLabel('Password').fill('correct horse battery');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('.invitation').waitFor();
  await shoot(page, 'nothing-dropped');
  await drop(page.locator('.screen'), exam(system, 7).slice(0, 3));
  await allShown(page, 3);
  await shoot(page, 'one-missing');
  await page.getByRole('button', { name: 'Start over' }).click();
  await drop(page.locator('.screen'), exam(system, 7));
  await allShown(page);
  await shoot(page, 'ready');
  await page.getByRole('button', { name: 'Start over' }).click();
  await send(page, 3, 'ACC-20260302-17');
  await send(page, 5, 'ACC-20260302-18');
  const film = exam(system, 9);
  const spoilt = exam(system, 9, { pixels: fogged(new Uint16Array(832 * 640)) })[1];
  if (spoilt !== undefined) film[1] = spoilt;
  await send(page, 9, 'ACC-20260302-19', film);
  await allShown(page);
  await shoot(page, 'no-score');
  await send(page, 7, 'ACC-20260302-20');
  await page.locator('.pane-overlay[data-map="drawn"]').nth(3).waitFor();
  await page.waitForTimeout(500);
  await shoot(page, 'answered');
  await page.locator('[data-view="R-CC"]').dblclick();
  await page.waitForTimeout(500);
  await shoot(page, 'one-view');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download the receipt' }).click()]);
  const receipt = await download.path();
  await page.getByRole('link', { name: 'Work list', exact: true }).first().click();
  await page.locator('.row-link').nth(3).waitFor();
  await shoot(page, 'work-list');
  await page.getByRole('link', { name: 'Check a receipt' }).click();
  await page.locator('.screen input[type=file]').setInputFiles(receipt);
  await page.locator('.verdict-box').waitFor();
  await shoot(page, 'receipt');
  await page.getByRole('link', { name: 'Enclave', exact: true }).click();
  await page.locator('.enclave-card').waitFor();
  await page.locator('.check').first().scrollIntoViewIfNeeded();
  await shoot(page, 'enclave');
  await page.locator('.language').selectOption('zh');
  await page.goto(`${gateway.address}/#/exams`);
  await page.locator('.row-link').first().click();
  await page.locator('.breast').first().waitFor();
  await allShown(page);
  await shoot(page, 'chinese');
});

test('a refused enclave', async ({ page }) => {
  const refused = await Gateway.start(system, 'refused', system.policy('other', true));
  await page.goto(refused.address);
  await drop(page.locator('.screen'), exam(system, 7));
  await allShown(page);
  await page.locator('.enclave-refused').waitFor();
  await shoot(page, 'blocked');
});
