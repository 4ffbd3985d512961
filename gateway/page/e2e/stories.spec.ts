// The page with a real gateway and a simulated enclave: what a radiologist does, and what goes wrong.

import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from '@playwright/test';
import type { Page } from '@playwright/test';
import { allShown, brightness, drop, pane, watch } from './support/page.ts';
import { exam, fogged } from './support/synthetic.ts';
import { Gateway, System } from './support/system.ts';

const USERS = { alice: 'correct horse battery', bob: 'a staple of his own' };

let system: System;
let open: Gateway;
let guarded: Gateway;

test.beforeAll(async () => {
  test.setTimeout(300_000);
  system = await System.start();
  const policy = system.policy('policy');
  open = await Gateway.start(system, 'open', policy);
  guarded = await Gateway.start(system, 'guarded', policy, USERS);
  await open.ready();
  await guarded.ready();
});
test.afterAll(() => system.end());

async function signIn(page: Page, user: keyof typeof USERS): Promise<void> {
  await page.goto(guarded.address);
  await page.getByLabel('User name').fill(user);
  await page.getByLabel('Password').fill(USERS[user]);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

const send = (page: Page) => page.getByRole('button', { name: 'Send to the enclave' });
const breast = (page: Page, side: string) => page.locator(`.breast[data-side="${side}"]`);
const scoreOf = async (page: Page, side: string) => Number(await breast(page, side).locator('.bar-value').textContent());

async function sendExam(page: Page, label: string, seed: number): Promise<void> {
  await drop(page.locator('.screen'), exam(system, seed));
  await allShown(page);
  await page.getByLabel('Label').fill(label);
  await send(page).click();
  await page.getByRole('heading', { name: label }).waitFor();
}

test('a radiologist drops four views, sees that the enclave is verified, reads scores and keeps a receipt that can be checked', async ({
  page,
}) => {
  const watched = watch(page, guarded.address);
  await signIn(page, 'alice');
  await page.getByText('Drop the four views here').waitFor();
  await expect(page.locator('.trust')).toContainText('Enclave verified');
  await expect(page.getByRole('note')).toContainText('Not for clinical use');
  await expect(page.getByRole('note')).toContainText('Simulated');

  await drop(page.locator('.screen'), exam(system, 7));
  await allShown(page);
  await expect(page.locator('.patient')).toContainText('SYN-7');
  await page.locator('.all-checks > summary').click();
  await expect(page.locator('.check-passed')).toHaveCount(11);
  await page.getByLabel('Label').fill('ACC-0007');
  await send(page).click();

  await page.getByRole('heading', { name: 'ACC-0007' }).waitFor();
  await breast(page, 'right').waitFor();
  expect(await scoreOf(page, 'right')).toBeGreaterThan(await scoreOf(page, 'left'));
  for (const side of ['right', 'left']) {
    const reached = (await scoreOf(page, side)) >= 0.5;
    await expect(breast(page, side)).toContainText(reached ? 'Reaches the operating point' : 'Below the operating point');
  }
  await allShown(page);

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download the receipt' }).click()]);
  expect(download.suggestedFilename()).toMatch(/^receipt-.*\.cose$/);
  const receipt = system.path('receipt.cose');
  await download.saveAs(receipt);
  // Another program than the page and the gateway believes it.
  const said = JSON.parse(system.cloister(['receipt', 'verify', receipt, '--policy', system.path('policy.toml'), '--json'])) as {
    verified: boolean;
  };
  expect(said.verified).toBe(true);

  await page.getByRole('link', { name: 'Check a receipt' }).click();
  await page.getByText('Drop a receipt here').waitFor();
  await drop(page.locator('.screen'), [{ name: 'kept', bytes: readFileSync(receipt) }]);
  await expect(page.locator('.verdict-box')).toHaveAttribute('data-believed', 'true');
  await expect(page.locator('.verdict-box')).toContainText('This receipt is genuine');
  await page.getByRole('link', { name: 'Open this exam' }).click();
  await page.getByRole('heading', { name: 'ACC-0007' }).waitFor();
  watched.check();
});

test('a receipt with one byte changed is not believed, and a letter is no receipt', async ({ page }) => {
  await page.goto(open.address);
  await page.getByText('Drop the four views here').waitFor();
  await sendExam(page, 'ACC-0008', 8);
  const link = page.getByRole('link', { name: 'Download the receipt' });
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  const bytes = readFileSync(await download.path());
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1;
  await page.getByRole('link', { name: 'Check a receipt' }).click();
  await drop(page.locator('.screen'), [{ name: 'changed', bytes }]);
  await expect(page.locator('.verdict-box')).toHaveAttribute('data-believed', 'false');
  await expect(page.locator('.verdict-box')).toContainText('Do not believe this receipt');
  await expect(page.locator('.claimed-scores')).toHaveCount(0);
  await drop(page.locator('.screen'), [{ name: 'letter', bytes: Buffer.from('Dear colleague') }]);
  await expect(page.getByText('This file is not a receipt')).toBeVisible();
});

test('an enclave that is not what the hospital approved is shown in red, check by check, and nothing can be sent', async ({ page }) => {
  const refused = await Gateway.start(system, 'refused', system.policy('another', true));
  await page.goto(refused.address);
  await expect(page.locator('.trust')).toContainText('Enclave refused');
  await drop(page.locator('.screen'), exam(system, 7));
  await allShown(page);
  const card = page.locator('.enclave-card');
  await expect(card).toHaveAttribute('data-state', 'refused');
  await expect(card.locator('.check-failed').first()).toContainText('Program');
  await expect(card.locator('.check-failed').first()).toContainText('Expected');
  await expect(page.getByRole('button', { name: 'Sending is blocked' })).toBeDisabled();
  await page.getByRole('link', { name: 'All checks' }).click();
  await expect(page.locator('.check-failed')).toHaveCount(1);
  await expect(page.locator('.check-passed').first()).toContainText('Connection');
  await expect(page.locator('.check-not-reached').first()).toContainText('Not reached');
  const exams = (await (await fetch(`${refused.address}/api/v1/exams`)).json()) as { exams: unknown[] };
  expect(exams.exams).toEqual([]);
});

test('an image that the network was not made for gets no score, and the reason in plain words', async ({ page }) => {
  await page.goto(open.address);
  await page.getByText('Drop the four views here').waitFor();
  const files = exam(system, 9);
  const film = exam(system, 9, { pixels: fogged(new Uint16Array(832 * 640)) })[1];
  if (film !== undefined) files[1] = film;
  await drop(page.locator('.screen'), files);
  await allShown(page);
  await page.getByLabel('Label').fill('ACC-0009');
  await send(page).click();
  await expect(page.getByText('The enclave gives no score')).toBeVisible();
  await expect(page.locator('.breast')).toHaveCount(0);
  await expect(page.getByRole('link', { name: 'Download the receipt' })).toHaveCount(0);
  await page.getByRole('link', { name: 'Work list', exact: true }).first().click();
  await expect(page.locator('tr', { hasText: 'ACC-0009' })).toContainText('No score');
});

test('a connection that is lost loses nothing', async ({ page }) => {
  await page.goto(open.address);
  await page.getByText('Drop the four views here').waitFor();
  await drop(page.locator('.screen'), exam(system, 10));
  await allShown(page);
  await page.getByLabel('Label').fill('ACC-0010');
  await open.kill();
  await expect(page.getByRole('alert').filter({ hasText: 'No connection to the gateway' })).toBeVisible();
  await send(page).click();
  await expect(page.getByText('The exam was not sent')).toBeVisible();
  await expect(page.getByText('Nothing is lost').first()).toBeVisible();
  await open.begin();
  await open.ready();
  await expect(page.getByText('No connection to the gateway')).toHaveCount(0);
  await page.getByRole('button', { name: 'Send again' }).click();
  await page.getByRole('heading', { name: 'ACC-0010' }).waitFor();
  // Once more while it is on its way: the exam is answered all the same, by a gateway that was begun anew.
  await open.kill();
  await open.begin();
  await breast(page, 'right').waitFor({ timeout: 90_000 });
  await expect(page.getByText('No connection to the gateway')).toHaveCount(0);
});

test('a session that ends keeps what was dropped for whoever signs in again, and for nobody else', async ({ page, context }) => {
  await signIn(page, 'alice');
  await page.getByText('Drop the four views here').waitFor();
  await drop(page.locator('.screen'), exam(system, 13));
  await allShown(page);
  await context.clearCookies();
  await send(page).click();
  await expect(page.getByText('Your session has ended')).toBeVisible();
  await page.getByLabel('User name').fill('alice');
  await page.getByLabel('Password').fill(USERS.alice);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await allShown(page);
  await context.clearCookies();
  await page.getByRole('link', { name: 'Work list' }).click();
  await page.getByLabel('User name').fill('bob');
  await page.getByLabel('Password').fill(USERS.bob);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('link', { name: 'New exam', exact: true }).click();
  await expect(page.getByText('Drop the four views here')).toBeVisible();
});

test('two users see each other’s exams as they change, and each signs in as themselves', async ({ browser }) => {
  const alice = await (await browser.newContext()).newPage();
  const bob = await (await browser.newContext()).newPage();
  await bob.goto(guarded.address);
  await bob.getByLabel('User name').fill('bob');
  await bob.getByLabel('Password').fill('not his');
  await bob.getByRole('button', { name: 'Sign in' }).click();
  await expect(bob.getByRole('alert')).toContainText('User name or password is wrong');
  await signIn(bob, 'bob');
  await bob.getByRole('link', { name: 'Work list' }).click();
  await bob.getByRole('heading', { name: 'Work list' }).waitFor();

  await signIn(alice, 'alice');
  await alice.getByText('Drop the four views here').waitFor();
  await sendExam(alice, 'ACC-0011', 11);
  const row = bob.locator('tr', { hasText: 'ACC-0011' });
  await expect(row).toContainText('alice');
  await expect(row).toContainText('Answered');
  await row.getByRole('link').click();
  await breast(bob, 'right').waitFor();
  await allShown(bob);
  // It is not his to delete.
  await expect(bob.getByRole('button', { name: 'Delete exam' })).toHaveCount(0);

  await alice.getByRole('button', { name: 'Delete exam' }).click();
  await alice.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(alice.locator('tr', { hasText: 'ACC-0011' })).toHaveCount(0);
  await expect(bob.getByText('There is no such exam')).toBeVisible();

  await alice.getByRole('button', { name: 'Sign out' }).click();
  await alice.getByLabel('Password').waitFor();
  await bob.reload();
  await expect(bob.locator('.user')).toContainText('Dr bob');
});

test('an exam without one of its views gives that breast no score, and says so', async ({ page }) => {
  await page.goto(open.address);
  await page.getByText('Drop the four views here').waitFor();
  await drop(page.locator('.screen'), exam(system, 14).slice(0, 3));
  await allShown(page, 3);
  await page.getByRole('checkbox').check();
  await page.getByLabel('Label').fill('ACC-0014');
  await send(page).click();
  await expect(breast(page, 'left')).toContainText('it needs both views');
  await expect(breast(page, 'left')).toContainText('Left CC');
  await expect(breast(page, 'right')).toContainText('operating point');
  await expect(page.locator('[data-finding="missing-L-MLO"]')).toContainText('Left MLO was not sent');
});

test('results that were delivered are listed, and images that are gone are seen again by dropping the same files', async ({ page }) => {
  const more = `[delivery]\nfolder = "${system.path('out')}"\n`;
  const delivering = await Gateway.start(system, 'delivering', system.path('policy.toml'), {}, more);
  await delivering.ready();
  await page.goto(delivering.address);
  await page.getByText('Drop the four views here').waitFor();
  await sendExam(page, 'ACC-0015', 15);
  await expect(page.locator('.chip-delivered')).toBeVisible();
  await expect(page.locator('.results')).toContainText('Mammography CAD report');
  await expect(page.locator('.results')).toContainText('delivered to');
  const link = page.locator('.results a').first();
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  expect(
    readFileSync(await download.path())
      .subarray(128, 132)
      .toString(),
  ).toBe('DICM');
  const kept = async () => {
    const list = (await (await fetch(`${delivering.address}/api/v1/exams`)).json()) as { exams: { images_kept: boolean }[] };
    return list.exams[0]?.images_kept;
  };
  await expect.poll(kept).toBe(false);
  await page.reload();
  await expect(page.getByText('The images were deleted after delivery')).toBeVisible();
  await drop(page.locator('.screen'), exam(system, 15));
  await allShown(page);
  await expect(page.locator('.pane-overlay[data-map="drawn"]')).toHaveCount(4);
});

test('a map lies over its image, and fades with its slider', async ({ page }) => {
  await page.goto(open.address);
  await page.getByText('Drop the four views here').waitFor();
  await sendExam(page, 'ACC-0012', 12);
  await breast(page, 'right').waitFor();
  await allShown(page);
  const overlay = pane(page, 'R-CC').locator('.pane-overlay');
  await expect(overlay).toHaveAttribute('data-map', 'drawn');
  const slider = page.getByLabel('Overlay');
  await slider.fill('0');
  await expect(overlay).toHaveCSS('opacity', '0');
  await slider.fill('80');
  await expect(overlay).toHaveCSS('opacity', '0.8');
  expect(await brightness(page, 'R-CC')).toBeGreaterThan(1);
  writeFileSync(test.info().outputPath('overlay.png'), await page.screenshot());
});
