import { defineConfig } from '@playwright/test';

/** Debian's, unless another is named. */
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'e2e/out',
  workers: 1,
  // A busy machine with two cores boots enclaves and draws images meanwhile.
  timeout: 120_000,
  expect: { timeout: 30_000 },
  // A browser that stumbles once on a crowded machine is told as flaky, and not as failed.
  retries: process.env.CI === undefined ? 0 : 1,
  reporter: [['list']],
  use: {
    viewport: { width: 1600, height: 960 },
    locale: 'en-GB',
    timezoneId: 'UTC',
    launchOptions: {
      executablePath,
      // Chromium's own sandbox wants more rights than root in a container has.
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
  },
});
