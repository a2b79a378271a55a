/** The licences of what a bundle has taken in from others, as they must go along with it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const licenceFile = /^(licen[cs]e|copying|notice)/i;

/** Name, version and licence texts of each package that one of the files belongs to. Throws where one has no text. */
export function licencesOf(root: string, files: readonly string[]): string {
  const packages = new Set(files.flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []));
  return [...packages]
    .sort()
    .map((folder) => licenceOf(join(root, folder)))
    .join(`\n${'='.repeat(80)}\n\n`);
}

function licenceOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
  const texts = readdirSync(folder)
    .filter((file) => licenceFile.test(file))
    .sort();
  if (texts.length === 0) throw new Error(`The package ${name} brings no text of its licence (${license}).`);
  return [`${name} ${version} (${license})\n`, ...texts.map((file) => readFileSync(join(folder, file), 'utf8'))].join(
    '\n',
  );
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}
