// Builds the viewer: `node build.mjs` writes the committed script and style, `node build.mjs test` bundles the
// unit tests, `node build.mjs DIR` writes script and style to DIR.

import { readdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const asked = process.argv[2];
const common = { absWorkingDir: here, bundle: true, charset: 'ascii', legalComments: 'none', logLevel: 'warning' };

if (asked === 'test') {
  rmSync(join(here, 'build'), { recursive: true, force: true });
  const tests = readdirSync(join(here, 'test')).filter((name) => name.endsWith('.test.ts'));
  await build({
    ...common, entryPoints: tests.map((name) => `test/${name}`), outdir: 'build', platform: 'node', format: 'esm',
    target: 'node20',
  });
} else {
  const out = asked ? resolve(asked) : join(here, '../src/html');
  await build({
    ...common, entryPoints: { viewer: 'src/main.ts' }, outdir: out, format: 'iife', target: 'es2022', minify: true,
    banner: { js: '/* Flamearc\'s viewer, built from crates/render/viewer by `cargo xtask viewer`. */' },
  });
  await build({
    ...common, entryPoints: { viewer: 'src/viewer.css' }, outdir: out, minify: true, target: 'chrome100',
  });
}
