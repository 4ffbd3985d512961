// For whoever uses keys, or a screen reader, or sees few colours: every screen, in both languages, with a stand-in for the gateway.

import AxeBuilder from '@axe-core/playwright';
import { expect, test } from '@playwright/test';
import type { Page } from '@playwright/test';
import { Mock } from '../mock/server.ts';
import { allShown, ENCODED, drop, files } from './support/page.ts';

let mock: Mock;
let address: string;

test.beforeEach(async () => {
  mock = new Mock({ signIn: 'password', outcome: 'delivered' });
  address = await mock.listen();
});
test.afterEach(() => mock.close());

/** WCAG 2.2, A and AA: contrast of 4.5 to 1 among them. */
async function sound(page: Page, screen: string): Promise<void> {
  const { violations, passes } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
    .analyze();
  const told = violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html.slice(0, 120)} ${node.failureSummary ?? ''}`).join('\n')}`,
  );
  expect(told, screen).toEqual([]);
  // It looked at something.
  expect(passes.map(({ id }) => id)).toContain('color-contrast');
}

for (const language of ['en', 'zh'] as const) {
  test(`every screen holds what WCAG asks for (${language})`, async ({ page }) => {
    await page.goto(address);
    await page.locator('.language').selectOption(language);
    await expect(page.locator('html')).toHaveAttribute('lang', language === 'zh' ? 'zh-Hans' : 'en');
    await sound(page, 'sign in');
    await page.locator('input[type=text]').fill('reader');
    await page.locator('input[type=password]').fill('wrong');
    await page.locator('button[type=submit]').click();
    await page.getByRole('alert').waitFor();
    await sound(page, 'sign in refused');
    await page.locator('input[type=password]').fill('correct horse');
    await page.locator('button[type=submit]').click();
    await page.locator('.invitation').waitFor();
    await sound(page, 'nothing dropped');
    await drop(page.locator('.screen'), [...files(ENCODED), { name: 'letter', bytes: Buffer.from('Dear colleague') }]);
    await allShown(page);
    await sound(page, 'dropped, with a finding');
    await page.locator('[data-finding="not-an-image"] .link').click();
    mock.scenario.enclave = 'refused';
    mock.tell('enclaves', mock.enclaves());
    await page.locator('.send-blocked').waitFor();
    await sound(page, 'blocked');
    mock.scenario.enclave = 'verified';
    mock.tell('enclaves', mock.enclaves());
    await page.locator('.send button[type=submit]:enabled').click();
    await page.locator('.breast-above').waitFor();
    await page.locator('.details > summary').click();
    await sound(page, 'answered');
    await page.keyboard.press('Alt+2');
    await page.locator('.row-link').waitFor();
    await sound(page, 'work list');
    await page.keyboard.press('Alt+3');
    await page.locator('.drop-zone').waitFor();
    await sound(page, 'receipt');
    await page.keyboard.press('Alt+4');
    await page.locator('.enclave-card').waitFor();
    await sound(page, 'enclave');
    await page.keyboard.press('?');
    await page.locator('dialog').waitFor();
    await sound(page, 'shortcuts');
  });
}

test('an exam is sent and read with keys alone', async ({ page }) => {
  await page.goto(address);
  // To the fields as a person tabs to them.
  const tabTo = async (what: () => Promise<boolean>) => {
    for (let times = 0; times < 60; times++) {
      if (await what()) return;
      await page.keyboard.press('Tab');
    }
    throw new Error('no number of tabs leads there');
  };
  const focused = (selector: string) => () => page.evaluate((wanted) => document.activeElement?.matches(wanted) === true, selector);
  await page.locator('.sign-in').waitFor();
  await tabTo(focused('input[type=text]'));
  await page.keyboard.type('reader');
  await tabTo(focused('input[type=password]'));
  await page.keyboard.type('correct horse');
  await page.keyboard.press('Enter');
  await page.locator('.invitation').waitFor();
  // Waited for well before it is asked for, because the browser has to be told to leave the choice to the test.
  const chooser = page.waitForEvent('filechooser');
  await tabTo(focused('.invitation .button'));
  await page.keyboard.press('Enter');
  await (await chooser).setFiles(ENCODED);
  await allShown(page);
  await tabTo(focused('.send input'));
  await page.keyboard.type('ACC-1');
  await page.keyboard.press('Enter');
  await page.locator('.breast-above').waitFor();
  await page.keyboard.press('Alt+2');
  await page.locator('.row-link').waitFor();
  await page.keyboard.press('ArrowDown');
  await expect(page.locator('.row-link')).toBeFocused();
  await page.keyboard.press('Enter');
  await page.locator('.breast-above').waitFor();
});

test('what happens is told to screen readers', async ({ page }) => {
  mock.scenario.pace = 800;
  await page.goto(address);
  await page.getByLabel('User name').fill('reader');
  await page.getByLabel('Password').fill('correct horse');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('.invitation').waitFor();
  await drop(page.locator('.screen'), files(ENCODED));
  await allShown(page);
  await page.getByLabel('Label').fill('ACC-1');
  await page.getByRole('button', { name: 'Send to the enclave' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Exam ACC-1: Computing' })).toBeAttached();
  await expect(page.getByRole('status').filter({ hasText: 'Exam ACC-1: Delivered' })).toBeAttached();
  await expect(page.getByRole('img', { name: 'Score 0.731, operating point 0.500' })).toBeVisible();
  await expect(page.getByRole('group', { name: /^Right CC, 180 by 240 pixels/ })).toBeVisible();
});

test('with the hospital’s own accounts there is one button, and no password is asked for', async ({ page }) => {
  mock.scenario.signIn = 'oidc';
  await page.goto(address);
  const button = page.getByRole('link', { name: 'Sign in with the hospital’s account' });
  await expect(button).toHaveAttribute('href', '/api/v1/session/oidc');
  await expect(page.getByLabel('Password')).toHaveCount(0);
  await sound(page, 'sign in with an account');
});

test('an account that was not let in is told so once, in words, and can be tried again', async ({ page }) => {
  mock.scenario.signIn = 'oidc';
  for (const [reason, words] of [
    ['sign-in-refused', 'the sign-in was not completed, or your account may not use this page'],
    ['provider', 'The hospital’s sign-in service does not answer'],
    ['<script>', 'the sign-in was not completed'],
  ]) {
    await page.goto(`${address}?sign-in=${encodeURIComponent(reason ?? '')}`);
    await expect(page.getByText(words ?? '')).toBeVisible();
    await expect(page.getByRole('link', { name: 'Sign in with the hospital’s account' })).toBeVisible();
    await sound(page, `not signed in: ${reason}`);
    await page.reload();
    await expect(page.getByRole('link', { name: 'Sign in with the hospital’s account' })).toBeVisible();
    await expect(page.getByText(words ?? '')).toHaveCount(0);
  }
  mock.scenario.signIn = 'none';
  await page.goto(`${address}?sign-in=provider#/enclave`);
  await expect(page).toHaveURL(/^[^?]*#\/enclave$/);
});

test('nothing moves for whoever asked for that', async ({ page }) => {
  mock.scenario = { ...mock.scenario, signIn: 'none', pace: 1500 };
  const animation = async () => {
    await page.goto(address);
    await page.locator('.invitation').waitFor();
    await drop(page.locator('.screen'), files(ENCODED));
    await allShown(page);
    await page.getByRole('button', { name: 'Send to the enclave' }).click();
    await page.locator('.working').waitFor();
    return page.locator('.working').evaluate((element) => getComputedStyle(element, '::after').animationName);
  };
  expect(await animation()).toBe('working');
  await page.emulateMedia({ reducedMotion: 'reduce' });
  expect(await animation()).toBe('none');
});

test('the language is remembered', async ({ page }) => {
  await page.goto(address);
  await page.getByLabel('Language').selectOption('zh');
  await expect(page.getByRole('button', { name: '登录' })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('button', { name: '登录' })).toBeVisible();
});
