import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import type { Rolldown } from 'vite';

/** Decoders that are compiled from C ask for Node's modules where they find themselves in Node, which is never here. */
const EXPECTED = /Module "(fs|path)" has been externalized/;

const onLog: NonNullable<Rolldown.RolldownOptions['onLog']> = (level, log, tell) => {
  if (!EXPECTED.test(log.message)) tell(level, log);
};

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // A library of DICOM's names brings a writer of XML along, which needs Node; nothing here writes XML.
  resolve: { alias: { xmlbuilder2: here('./src/viewer/no-xml.ts') } },
  worker: { format: 'es', rolldownOptions: { onLog, checks: { bundlerTimings: false } } },
  build: {
    target: 'es2022',
    // Nothing as a data: URL, so that the policy for content can stay narrow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
    rolldownOptions: {
      checks: { bundlerTimings: false },
      onLog,
    },
  },
  server: { host: '127.0.0.1', proxy: { '/api': 'http://127.0.0.1:8980' } },
  test: { include: ['tests/**/*.test.ts'], testTimeout: 30_000 },
});
