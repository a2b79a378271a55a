/** A Computalot project to try: the example, with an image that there is as what it is built on. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const example = resolve(import.meta.dirname, '../../examples/regression');

/** Writes it into the folder, in place of what is there. */
export function writeProject(folder: string, base: string): void {
  rmSync(folder, { recursive: true, force: true });
  cpSync(example, folder, { recursive: true });
  const file = join(folder, 'computalot.project.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  manifest.build.args.BASE = base;
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
}
