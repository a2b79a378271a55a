/** `gpuaas release-keys`: root and signing keys of those who make releases. Needs no control plane, and no network. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, tell } from '../output.ts';
import type { Carry } from '../run-program.ts';
import { json } from './options.ts';
import type { KeyFolder } from './release-key-files.ts';
import { itemText } from './things.ts';
import { refuseUnknownCommands } from './unknown-command.ts';

const keepAway =
  'Take root.key off this machine now, to where nobody gets at it: whoever has it can put any program on every host.';

export function addReleaseKeyCommands(program: Command, carry: Carry): void {
  const keys = refuseUnknownCommands(
    program
      .command('release-keys')
      .description('make and use the keys that vouch for releases, on the machine they lie on'),
  );
  keys
    .command('init <folder>')
    .description('make a root, a signing key and the bundle of signing keys that the root has signed')
    .option(...json)
    .action((folder: string, options) =>
      carry(async () => {
        const { initReleaseKeys } = await import('./release-key-files.ts');
        return say(initReleaseKeys(resolve(folder)), options, keepAway);
      }),
    );
  keys
    .command('add <folder>')
    .description('make another signing key, and the next bundle with it')
    .option('--root-key <file>', 'private root (default: root.key in the folder)')
    .option(
      '--drop <fingerprint...>',
      'leave these out of it; hosts that have seen the next bundle believe them no more',
    )
    .option(...json)
    .action((folder: string, options) =>
      carry(async () => {
        const { addReleaseKey } = await import('./release-key-files.ts');
        const rootKey = options.rootKey === undefined ? undefined : resolve(options.rootKey);
        const made = addReleaseKey(resolve(folder), rootKey, options.drop);
        return say(made, options, 'It signs from now on; sign the releases that are offered again with it.');
      }),
    );
  keys
    .command('sign <release>')
    .description('sign the manifest of a release folder, after a look at each of its files')
    .requiredOption('--keys <folder>', 'folder with the keys')
    .option(...json)
    .action((release: string, options) =>
      carry(async () => {
        const { signRelease } = await import('./release-key-files.ts');
        const { release: signed, keysSeq } = await signRelease(resolve(release), resolve(options.keys));
        const { version, seq, channel, expires } = signed;
        const facts = { folder: resolve(release), version, seq, channel, expires, keys_seq: keysSeq };
        if (options.json) printJson(facts);
        else printLine(itemText(facts));
        return exitCodes.ok;
      }),
    );
}

function say(made: KeyFolder, { json: isJson }: { readonly json: boolean }, next: string): number {
  if (isJson) {
    printJson(made);
  } else {
    printLine(itemText({ ...made }));
    tell(next);
  }
  return exitCodes.ok;
}
