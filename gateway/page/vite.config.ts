import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // A library of DICOM's names brings a writer of XML along, which needs Node; nothing here writes XML.
  resolve: { alias: { xmlbuilder2: here('./src/viewer/no-xml.ts') } },
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    // Nothing as a data: URL, so that the policy for content can stay narrow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
  },
  server: { host: '127.0.0.1', proxy: { '/api': 'http://127.0.0.1:8980' } },
  test: { include: ['tests/**/*.test.ts'], testTimeout: 30_000 },
});
