/** `gpuaas releases`: what hosts install. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { AgentError } from '../../contract/failures.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, table, tell } from '../output.ts';
import type { Carry } from '../run-program.ts';
import { json } from './options.ts';
import { itemText } from './things.ts';
import { refuseUnknownCommands } from './unknown-command.ts';

export function addReleaseCommands(program: Command, carry: Carry): void {
  const releases = refuseUnknownCommands(program.command('releases').description('versions that hosts install'));
  releases
    .command('verify <folder>')
    .description('look whether a release folder is what its root vouches for, file by file; needs no control plane')
    .requiredOption('--root <file>', 'PEM of the public release root')
    .option(...json)
    .action((folder: string, options) => carry(() => verify(resolve(folder), options)));
}

async function verify(folder: string, options: { readonly root: string; readonly json: boolean }): Promise<number> {
  const { verifyReleaseFolder } = await import('./release-folder.ts');
  const { releaseRootOf } = await import('../../policy/release-trust.ts');
  const { release, keysSeq } = await verifyReleaseFolder(folder, releaseRootOf(readRoot(options.root)));
  const { artifacts, ...about } = release;
  const expired = Date.parse(release.expires) <= Date.now();
  if (options.json) {
    printJson({ ...release, keys_seq: keysSeq, expired });
    return exitCodes.ok;
  }
  printLine(itemText({ ...about, keys_seq: keysSeq }));
  printLine(
    table([
      ['FILE', 'KIND', 'FOR', 'BYTES'],
      ...artifacts.map((each) => [each.name, each.kind, each.arch, String(each.size)]),
    ]),
  );
  tell(
    expired
      ? 'It is what its root vouches for, and has expired: no host begins to install it.'
      : 'It is what its root vouches for.',
  );
  return exitCodes.ok;
}

function readRoot(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new AgentError('file.unusable', { reason: `The release root cannot be read from ${file}.` }, { cause });
  }
}
