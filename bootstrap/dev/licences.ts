/** The licences of what a bundle has taken in from others, as they must go along with it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const licenceFile = /^(licen[cs]e|copying|notice)/i;

/** Name, version and licence texts of each package that one of the files belongs to. Throws where one says nothing of it. */
export function licencesOf(root: string, files: readonly string[]): string {
  const packages = new Set(files.flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []));
  return [...packages]
    .sort()
    .map((folder) => licenceOf(join(root, folder)))
    .join(`\n${'='.repeat(80)}\n\n`);
}

function licenceOf(folder: string): string {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
  const { name, version, license } = manifest;
  const texts = readdirSync(folder)
    .filter((file) => licenceFile.test(file))
    .sort();
  if (texts.length === 0) return `${name} ${version} (${license})\n\n${withoutText(manifest)}\n`;
  return [`${name} ${version} (${license})\n`, ...texts.map((file) => readFileSync(join(folder, file), 'utf8'))].join(
    '\n',
  );
}

/** What there is to be said where a package brings no text: whose it is. Throws where it does not say that either. */
function withoutText({ name, license, author }: Manifest): string {
  const owner = typeof author === 'object' ? author.name : author;
  if (!license || !owner) throw new Error(`The package ${name} says neither its licence nor whose it is.`);
  return `Copyright ${owner}. Its package says ${license} and brings no text of it.`;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly author?: string | { readonly name: string };
}
