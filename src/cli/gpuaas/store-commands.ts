/** `gpuaas store`: backup, restore and check of the embedded store, on the machine that it lies on. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { AgentError } from '../../contract/failures.ts';
import type { Examined } from '../../server/db/sqlite/examine.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, reportError, tell } from '../output.ts';
import type { Carry } from '../run-program.ts';
import { json } from './options.ts';
import { itemText } from './things.ts';
import { refuseUnknownCommands } from './unknown-command.ts';

const noKeys = 'It has no keys: back up keys/ of the data folder once, and after each `gpuaas keys rotate`, elsewhere.';

export function addStoreCommands(program: Command, carry: Carry): void {
  const store = refuseUnknownCommands(
    program.command('store').description('back up, restore and check the store of a control plane, on its machine'),
  );
  const dataDir = () =>
    new Option('--data-dir <folder>', 'store and keys').env('GPUAAS_SERVER_DATA_DIR').default('/var/lib/gpuaas-server');
  store
    .command('backup <file>')
    .description('write the store into a new file, also while the control plane is at work')
    .addOption(dataDir())
    .option(...json)
    .action((file: string, options) =>
      carry(async () => {
        const { backUpStore } = await import('../../server/store-copies.ts');
        const examined = await backUpStore(resolve(options.dataDir), resolve(file));
        say({ file: resolve(file), ...examined, has_keys: false }, options, `Backed up into ${file}. ${noKeys}`);
        return exitCodes.ok;
      }),
    );
  store
    .command('restore <file>')
    .description('put a backup in place of the store, which is set aside; the control plane must be stopped')
    .addOption(dataDir())
    .option(...json)
    .action((file: string, options) =>
      carry(async () => {
        const { restoreStore } = await import('../../server/store-copies.ts');
        const restored = restoreStore(resolve(options.dataDir), resolve(file), new Date());
        const aside = restored.set_aside === null ? '' : ' What was there is set aside.';
        const keys = restored.has_keys ? '' : ' Not all keys are in this folder: put keys/ back before it is started.';
        say({ file: resolve(file), ...restored }, options, `Restored.${aside}${keys}`);
        return exitCodes.ok;
      }),
    );
  store
    .command('check [file]')
    .description('look through the store, or through a backup; exit status 0 sound, 1 not as it should be, 2 not there')
    .addOption(dataDir())
    .option(...json)
    .action((file: string | undefined, options) =>
      carry(async () => {
        const { checkStore } = await import('../../server/store-copies.ts');
        let examined: Examined;
        try {
          examined = checkStore(resolve(options.dataDir), file && resolve(file));
        } catch (error) {
          // It was looked through to be told that: the command did what it was asked for.
          if (!(error instanceof AgentError) || error.code !== 'store.unusable') throw error;
          reportError(error, options.json);
          return exitCodes.failed;
        }
        const isSound = examined.misshapen.length === 0;
        say({ sound: isSound, ...examined }, options, isSound ? 'It is sound.' : 'It holds what it should not.');
        return isSound ? exitCodes.ok : exitCodes.failed;
      }),
    );
}

type Said = Examined & Readonly<Record<string, unknown>>;

function say({ holds, misshapen, ...facts }: Said, { json }: { readonly json: boolean }, sentence: string): void {
  if (json) {
    printJson({ ...facts, holds, misshapen });
    return;
  }
  printLine(itemText({ ...facts, ...holds, ...(misshapen.length > 0 ? { misshapen } : {}) }));
  tell(sentence);
}
