// What the stories do with the page, and what none of them may see.

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect } from '@playwright/test';
import type { Locator, Page } from '@playwright/test';

/** The four views of one exam, each in another encoding. */
export const ENCODED = ['plain', 'rle', 'jpeg-lossless', 'jpeg-2000'].map((name) =>
  join(import.meta.dirname, `../../tests/files/${name}.dcm`),
);

/** Watches for whatever must never happen: a request to another host, something that the policy for content stopped, an error. */
export function watch(page: Page, address: string): { check: () => void } {
  const seen: string[] = [];
  const origin = new URL(address).origin;
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !url.startsWith('blob:') && !url.startsWith('data:')) seen.push(`a request to ${url}`);
  });
  page.on('pageerror', (error) => seen.push(`an error: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy|violates/i.test(message.text())) seen.push(message.text());
  });
  return { check: () => expect(seen).toEqual([]) };
}

/** Drops files as a mouse does, from outside of the browser. */
export async function drop(target: Locator, files: { name: string; bytes: Buffer }[]): Promise<void> {
  const transfer = await target.page().evaluateHandle(
    (all) => {
      const made = new DataTransfer();
      for (const { name, base64 } of all) {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        made.items.add(new File([bytes], name));
      }
      return made;
    },
    files.map(({ name, bytes }) => ({ name, base64: bytes.toString('base64') })),
  );
  await target.dispatchEvent('dragenter', { dataTransfer: transfer });
  await target.dispatchEvent('dragover', { dataTransfer: transfer });
  await target.dispatchEvent('drop', { dataTransfer: transfer });
}

/** Files of this machine. */
export function files(paths: string[]): { name: string; bytes: Buffer }[] {
  return paths.map((path) => ({ name: basename(path), bytes: readFileSync(path) }));
}

export const pane = (page: Page, view: string): Locator => page.locator('.pane').filter({ has: page.locator(`[data-view="${view}"]`) });

export async function allShown(page: Page, count = 4): Promise<void> {
  await expect(page.locator('.pane[data-state="shown"]')).toHaveCount(count);
}

/** How bright the picture in a pane is, from 0 to 255: the mean of a part of its canvas, in shares of its width and height. */
export function brightness(page: Page, view: string, part: { from: number; to: number } = { from: 0, to: 1 }): Promise<number> {
  return pane(page, view)
    .locator('canvas')
    .first()
    .evaluate((element, { from, to }) => {
      const canvas = element as HTMLCanvasElement;
      const copy = document.createElement('canvas');
      copy.width = canvas.width;
      copy.height = canvas.height;
      const context = copy.getContext('2d');
      if (context === null) return -1;
      context.drawImage(canvas, 0, 0);
      const left = Math.floor(canvas.width * from);
      const { data } = context.getImageData(left, 0, Math.max(1, Math.floor(canvas.width * to) - left), canvas.height);
      let sum = 0;
      for (let at = 0; at < data.length; at += 4) sum += data[at] ?? 0;
      return sum / (data.length / 4);
    }, part);
}

/** The middle of what is most opaque in a pane's overlay, in CSS pixels. */
export function spotOf(page: Page, view: string): Promise<{ x: number; y: number }> {
  return pane(page, view)
    .locator('.pane-overlay')
    .evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
      const [sum, at] = [{ x: 0, y: 0 }, { n: 0 }];
      for (let pixel = 0; pixel < pixels.length / 4; pixel++) {
        if ((pixels[pixel * 4 + 3] ?? 0) < 235) continue;
        sum.x += pixel % canvas.width;
        sum.y += Math.floor(pixel / canvas.width);
        at.n++;
      }
      return { x: sum.x / at.n / devicePixelRatio, y: sum.y / at.n / devicePixelRatio };
    });
}

/** The window as a pane says it. */
export async function windowOf(page: Page, view: string): Promise<{ width: number; level: number }> {
  const text = (await pane(page, view).locator('.pane-values').textContent()) ?? '';
  const [, width, level] = /W (-?\d+) L (-?\d+)/.exec(text) ?? [];
  return { width: Number(width), level: Number(level) };
}

/** Drags with a mouse's button, in steps. */
export async function drag(
  page: Page,
  from: Locator,
  by: { x: number; y: number },
  button: 'left' | 'right' | 'middle' = 'left',
): Promise<void> {
  const box = await from.boundingBox();
  if (box === null) throw new Error('it is not to be seen');
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down({ button });
  for (let step = 1; step <= 8; step++) await page.mouse.move(x + (by.x * step) / 8, y + (by.y * step) / 8);
  await page.mouse.up({ button });
}
