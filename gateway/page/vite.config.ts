import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import type { Plugin, Rolldown } from 'vite';

/** Decoders that are compiled from C ask for Node's modules where they find themselves in Node, which is never here. */
const EXPECTED = /Module "(fs|path)" has been externalized/;

const onLog: NonNullable<Rolldown.RolldownOptions['onLog']> = (level, log, tell) => {
  if (!EXPECTED.test(log.message)) tell(level, log);
};

/**
 * Decoders of encodings that no enclave takes (docs/dicom.md): a megabyte and a half, and code that would read strangers' files. A file in one
 * of them is told before it is sent, as one that cannot be read.
 */
const UNTAKEN = /dicom-image-loader\/dist\/esm\/shared\/decoders\/decode(JPEGXL|HTJ2K|JPEGLS|JPEGBaseline8Bit|JPEGBaseline12Bit-js)\.js$/;
const withoutUntaken = (): Plugin => ({
  name: 'without-untaken-encodings',
  enforce: 'pre',
  load: (id) => {
    if (!UNTAKEN.test(id)) return null;
    const refuse = "throw new Error('an encoding that no enclave takes');";
    return `export function initialize() { ${refuse} }\nexport default function decode() { ${refuse} }\n`;
  },
});

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // A library of DICOM's names brings a writer of XML along, which needs Node; nothing here writes XML.
  resolve: { alias: { xmlbuilder2: here('./src/viewer/no-xml.ts') } },
  plugins: [withoutUntaken()],
  worker: { format: 'es', plugins: () => [withoutUntaken()], rolldownOptions: { onLog, checks: { bundlerTimings: false } } },
  build: {
    target: 'es2022',
    // Nothing as a data: URL, so that the policy for content can stay narrow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
    // Whose work the bundle is, as their licences ask.
    license: { fileName: 'licenses.txt' },
    rolldownOptions: {
      checks: { bundlerTimings: false },
      onLog,
    },
  },
  server: { host: '127.0.0.1', proxy: { '/api': 'http://127.0.0.1:8980' } },
  test: { include: ['tests/**/*.test.ts'], testTimeout: 30_000 },
});
