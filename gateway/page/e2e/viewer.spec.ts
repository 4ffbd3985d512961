// Looking at images, with a stand-in for the gateway: none of it needs an enclave.

import { expect, test } from '@playwright/test';
import { join } from 'node:path';
import { Mock } from '../mock/server.ts';
import { greyPng } from '../mock/png.ts';
import { allShown, ENCODED, brightness, drag, drop, files, pane, spotOf, watch, windowOf } from './support/page.ts';
import { dicom } from './support/synthetic.ts';

const SMALL = { rows: 600, columns: 450 };

let mock: Mock;
let address: string;

test.beforeEach(async () => {
  mock = new Mock();
  address = await mock.listen();
});
test.afterEach(() => mock.close());

test('every encoding is decoded here, to the same greys, with nothing asked of another host', async ({ page }) => {
  const watched = watch(page, address);
  await page.goto(address);
  await drop(page.locator('.screen'), files(ENCODED));
  await allShown(page);
  const windows = await Promise.all(['R-CC', 'L-CC', 'R-MLO', 'L-MLO'].map((view) => windowOf(page, view)));
  const first = windows[0];
  expect(first?.width).toBeGreaterThan(1000);
  for (const window of windows) {
    // Mirrored pixels are sampled at other places, so that the windows are alike and not equal.
    expect(Math.abs(window.width - (first?.width ?? 0))).toBeLessThan(60);
    expect(Math.abs(window.level - (first?.level ?? 0))).toBeLessThan(60);
  }
  watched.check();
});

test('views hang with their chest walls together, whichever way the pixels face', async ({ page }) => {
  await page.goto(address);
  const mirrored = { orientation: 'P\\F' };
  await drop(page.locator('.screen'), [
    { name: 'a', bytes: dicom('R-CC', SMALL) },
    { name: 'b', bytes: dicom('L-CC', SMALL) },
    { name: 'c', bytes: dicom('R-MLO', SMALL, { photometric: 'MONOCHROME1', pixels: inverted('R-MLO') }) },
    // A left breast whose rows lead to the back: it faces the other way, and is mirrored.
    { name: 'd', bytes: dicom('L-MLO', SMALL, mirrored) },
  ]);
  await allShown(page);
  for (const [view, wall] of [
    ['R-CC', 'right'],
    ['L-CC', 'left'],
    ['R-MLO', 'right'],
  ] as const) {
    const left = await brightness(page, view, { from: 0, to: 0.5 });
    const right = await brightness(page, view, { from: 0.5, to: 1 });
    expect(wall === 'right' ? right - left : left - right, view).toBeGreaterThan(10);
  }
  await expect(pane(page, 'L-MLO')).toContainText('mirrored');
  await expect(pane(page, 'L-CC')).not.toContainText('mirrored');
});

function inverted(view: 'R-MLO'): Uint16Array {
  const file = dicom(view, SMALL);
  const pixels = new Uint16Array(
    file.buffer.slice(file.byteOffset + file.length - SMALL.rows * SMALL.columns * 2, file.byteOffset + file.length),
  );
  return pixels.map((grey) => 4095 - grey);
}

test('the mouse changes the window, moves and zooms, and everything goes back', async ({ page }) => {
  await page.goto(address);
  await drop(page.locator('.screen'), files(ENCODED));
  await allShown(page);
  const image = page.locator('[data-view="L-CC"]');
  const before = await windowOf(page, 'L-CC');
  const other = await windowOf(page, 'R-CC');
  const bright = await brightness(page, 'L-CC');

  await drag(page, image, { x: 60, y: 40 });
  await expect.poll(() => windowOf(page, 'L-CC')).not.toEqual(before);
  expect(await windowOf(page, 'R-CC'), 'other views keep theirs').toEqual(other);

  await page.getByRole('button', { name: 'Reset' }).click();
  await expect.poll(() => windowOf(page, 'L-CC')).toEqual(before);

  const edge = () => brightness(page, 'L-CC', { from: 0, to: 0.05 });
  const edgeBefore = await edge();
  await page.getByRole('button', { name: 'Move', exact: true }).click();
  await drag(page, image, { x: 160, y: 0 });
  await expect.poll(edge, { message: 'moved away from the chest wall' }).toBeLessThan(edgeBefore / 2);
  await page.getByRole('button', { name: 'Reset' }).click();
  await expect.poll(edge).toBeCloseTo(edgeBefore, 0);

  // Around the pointer, which stands on the chest wall.
  await image.hover({ position: { x: 8, y: 200 } });
  await page.mouse.wheel(0, -600);
  await expect.poll(() => brightness(page, 'L-CC'), { message: 'larger, so brighter' }).toBeGreaterThan(bright * 1.2);
  await page.getByRole('button', { name: 'Reset' }).click();
  await expect.poll(() => brightness(page, 'L-CC')).toBeCloseTo(bright, 0);

  await image.click();
  await page.getByRole('button', { name: 'Invert' }).click();
  await expect.poll(() => brightness(page, 'L-CC', { from: 0, to: 0.1 }), { message: 'dark where it was bright' }).toBeLessThan(edgeBefore);
});

test('from near the whole picture takes the reduced one’s place, at the same place and with the same window', async ({ page }) => {
  await page.goto(address);
  // Half as many rows are drawn from afar, where the processor draws.
  await drop(page.locator('.screen'), [{ name: 'a', bytes: dicom('L-CC', { rows: 2400, columns: 1800 }) }]);
  await allShown(page, 1);
  const image = page.locator('[data-view="L-CC"]');
  const untouched = await windowOf(page, 'L-CC');
  await image.focus();
  await page.keyboard.press('ArrowRight');
  await expect.poll(() => windowOf(page, 'L-CC')).not.toEqual(untouched);
  const window = await windowOf(page, 'L-CC');
  const inner = () => brightness(page, 'L-CC', { from: 0.02, to: 0.1 });
  // Around the middle of the chest wall: what is seen grows brighter, step by step, and never jumps.
  const height = (await image.boundingBox())?.height ?? 0;
  await image.hover({ position: { x: 2, y: height / 2 } });
  let before = await inner();
  const first = before;
  for (let step = 0; step < 14; step++) {
    await page.mouse.wheel(0, -120);
    await page.waitForTimeout(150);
    const now = await inner();
    expect(now / before, `step ${step}`).toBeGreaterThan(0.93);
    expect(now / before, `step ${step}`).toBeLessThan(1.35);
    before = now;
  }
  expect(before).toBeGreaterThan(first);
  expect(await windowOf(page, 'L-CC')).toEqual(window);
});

test('a map lies where its image is, mirrored with it, and follows when it is moved', async ({ page }) => {
  await page.goto(address);
  await drop(page.locator('.screen'), [
    { name: 'a', bytes: dicom('R-CC', SMALL) },
    // Faces the other way, and is mirrored; its map too.
    { name: 'b', bytes: dicom('L-CC', SMALL, { orientation: 'P\\R' }) },
    { name: 'c', bytes: dicom('R-MLO', SMALL) },
    { name: 'd', bytes: dicom('L-MLO', SMALL) },
  ]);
  await allShown(page);
  await page.getByRole('button', { name: 'Send to the enclave' }).click();
  await page.locator('.breast-above').waitFor();
  await allShown(page);
  await expect(page.locator('.pane-overlay[data-map="drawn"]')).toHaveCount(4);
  // The spot of the stand-in's map, 30.5 of 64 columns from the left and 38.5 of 80 rows from above.
  const expected = async (view: string, mirrored: boolean) => {
    const box = await pane(page, view).boundingBox();
    if (box === null) throw new Error('it is not to be seen');
    const scale = Math.min(box.width / SMALL.columns, box.height / SMALL.rows);
    const left = view.startsWith('R') ? box.width - SMALL.columns * scale : 0;
    const across = mirrored ? 1 - 30.5 / 64 : 30.5 / 64;
    return { x: left + across * SMALL.columns * scale, y: (38.5 / 80) * SMALL.rows * scale };
  };
  for (const [view, mirrored] of [
    ['R-CC', false],
    ['L-CC', true],
    ['L-MLO', false],
  ] as const) {
    const [spot, wanted] = [await spotOf(page, view), await expected(view, mirrored)];
    expect(Math.abs(spot.x - wanted.x), view).toBeLessThan(6);
    expect(Math.abs(spot.y - wanted.y), view).toBeLessThan(6);
  }
  const before = await spotOf(page, 'R-CC');
  await page.getByRole('button', { name: 'Move', exact: true }).click();
  await drag(page, page.locator('[data-view="R-CC"]'), { x: -80, y: 24 });
  await expect.poll(async () => Math.round((await spotOf(page, 'R-CC')).x - before.x)).toBeLessThan(-70);
  expect(Math.abs((await spotOf(page, 'R-CC')).y - before.y - 24)).toBeLessThan(6);
});

test('keys do all of it too', async ({ page }) => {
  await page.goto(address);
  await drop(page.locator('.screen'), files(ENCODED));
  await allShown(page);
  await page.locator('[data-view="R-CC"]').focus();
  await page.keyboard.press('2');
  await expect(page.locator('[data-view="L-CC"]')).toBeFocused();
  const before = await windowOf(page, 'L-CC');
  await page.keyboard.press('ArrowRight');
  await expect.poll(async () => (await windowOf(page, 'L-CC')).width).toBeGreaterThan(before.width);
  await page.keyboard.press('ArrowDown');
  await expect.poll(async () => (await windowOf(page, 'L-CC')).level).toBeGreaterThan(before.level);
  await page.keyboard.press('r');
  await expect.poll(() => windowOf(page, 'L-CC')).toEqual(before);
  const bright = await brightness(page, 'L-CC');
  for (let times = 0; times < 3; times++) await page.keyboard.press('+');
  await expect.poll(() => brightness(page, 'L-CC')).toBeGreaterThan(bright);
  await page.keyboard.press('f');
  await expect(pane(page, 'L-CC')).toHaveClass(/pane-single/);
  await page.keyboard.press('f');
  await expect(pane(page, 'L-CC')).not.toHaveClass(/pane-single/);
  await page.keyboard.press('z');
  await expect(page.getByRole('button', { name: 'Zoom' })).toHaveAttribute('aria-pressed', 'true');
});

test('what cannot be sent is told in words, and mended by hand', async ({ page }) => {
  await page.goto(address);
  const send = page.getByRole('button', { name: 'Send to the enclave' });
  await drop(page.locator('.screen'), [
    { name: 'letter.dcm', bytes: Buffer.from('Dear colleague') },
    { name: 'a.png', bytes: greyPng(90, 120, (x) => (x < 40 ? 200 : 0)) },
    { name: 'b', bytes: dicom('R-CC', SMALL) },
    { name: 'c', bytes: dicom('R-MLO', SMALL) },
    { name: 'd', bytes: dicom('L-MLO', SMALL) },
    { name: 'e', bytes: dicom('L-MLO', SMALL, { patientId: 'SYN-2' }) },
  ]);
  const finding = (id: string) => page.locator(`[data-finding="${id}"]`);
  await expect(finding('other-patient')).toContainText('different patients');
  await expect(finding('duplicate-view')).toContainText('same view');
  await expect(send).toBeDisabled();
  await finding('duplicate-view').getByRole('button', { name: 'Remove' }).nth(1).click();
  await expect(finding('other-patient')).toHaveCount(0);
  await finding('not-an-image').getByRole('button', { name: 'Remove' }).click();
  await finding('choose-view').getByRole('combobox').selectOption('L-CC');
  await allShown(page);
  await expect(send).toBeEnabled();
  await page.getByRole('button', { name: 'Remove Right CC' }).click();
  await expect(send).toBeDisabled();
  await expect(finding('missing-view')).toContainText('Missing: Right CC');
  await page.getByRole('checkbox').check();
  await expect(send).toBeEnabled();
});

test('an image that claims to be DICOM and is not is told, and blocks sending', async ({ page }) => {
  await page.goto(address);
  const broken = dicom('L-CC', SMALL);
  await drop(page.locator('.screen'), [
    { name: 'cut', bytes: broken.subarray(0, broken.length - 200_000) },
    // JPEG-LS, which no enclave takes.
    { name: 'other', bytes: dicom('R-CC', SMALL, { syntax: '1.2.840.10008.1.2.4.80' }) },
  ]);
  await expect(page.locator('[data-finding="unreadable"]')).toHaveCount(2);
  await expect(page.getByRole('button', { name: 'Send to the enclave' })).toBeDisabled();
});

test('the first of four 27-megabyte views is seen soon, and windowing stays smooth', async ({ page }) => {
  const large = { rows: 4096, columns: 3328 };
  const folder = test.info().outputPath();
  const { writeFileSync, mkdirSync } = await import('node:fs');
  mkdirSync(folder, { recursive: true });
  const paths = (['R-CC', 'L-CC', 'R-MLO', 'L-MLO'] as const).map((view) => {
    const path = join(folder, view);
    writeFileSync(path, dicom(view, large));
    return path;
  });
  await page.goto(address);
  await page.getByText('Drop the four views here').waitFor();
  await page.locator('input[type=file]').first().setInputFiles(paths);
  await allShown(page);
  const marks = await page.evaluate(() => performance.getEntriesByType('mark').map(({ name, startTime }) => ({ name, startTime })));
  const at = (name: string) => marks.find((mark) => mark.name === name)?.startTime ?? NaN;
  const shown = marks.filter((mark) => mark.name.startsWith('shown')).map((mark) => mark.startTime - at('dropped'));
  const frames = await framesWhileWindowing(page);
  console.log(
    `first view ${shown[0]?.toFixed(0)} ms, all four ${shown.at(-1)?.toFixed(0)} ms after the drop; ${frames.perSecond.toFixed(0)} frames a second while windowing (median ${frames.median.toFixed(1)} ms, 95 % ${frames.late.toFixed(1)} ms)`,
  );
  expect(shown[0]).toBeLessThan(2000);
  // Sixty where nothing else runs; the tests share two cores with a build.
  expect(frames.perSecond).toBeGreaterThan(20);
});

/** Drags over a view for two seconds, and counts the pictures that are drawn. */
async function framesWhileWindowing(page: import('@playwright/test').Page) {
  const box = await page.locator('[data-view="R-CC"]').boundingBox();
  if (box === null) throw new Error('it is not to be seen');
  await page.evaluate(() => {
    const drawn: number[] = [];
    Object.assign(window, { drawn });
    document.querySelector('[data-view="R-CC"]')?.addEventListener('CORNERSTONE_IMAGE_RENDERED', () => drawn.push(performance.now()));
  });
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  // The pointer moves as fast as a hand's: the browser itself makes the events, one each frame.
  await page.evaluate(
    ([left, top]) =>
      new Promise<void>((resolve) => {
        const start = performance.now();
        const move = (now: number) => {
          const by = (now - start) / 10;
          const event = {
            clientX: (left ?? 0) + by,
            clientY: (top ?? 0) + 40 * Math.sin(by / 20),
            pageX: left,
            pageY: top,
            bubbles: true,
            buttons: 1,
          };
          document.dispatchEvent(new MouseEvent('mousemove', event));
          if (now - start < 2000) requestAnimationFrame(move);
          else resolve();
        };
        requestAnimationFrame(move);
      }),
    [x, y],
  );
  await page.mouse.up();
  const drawn = await page.evaluate(() => (window as unknown as { drawn: number[] }).drawn);
  const gaps = drawn
    .slice(1)
    .map((time, before) => time - (drawn[before] ?? 0))
    .sort((a, b) => a - b);
  const span = (drawn.at(-1) ?? 0) - (drawn[0] ?? 0);
  return {
    perSecond: (gaps.length / span) * 1000,
    median: gaps[gaps.length >> 1] ?? NaN,
    late: gaps[Math.floor(gaps.length * 0.95)] ?? NaN,
  };
}
