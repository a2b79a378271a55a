/** `gpuaas keys`: the key that tasks are signed with. */
import type { Command } from 'commander';
import type { Carry } from './carry.ts';
import { given, json, whole } from './options.ts';
import { type Item, printItem } from './things.ts';

export function addKeyCommands(program: Command, carry: Carry): void {
  program
    .command('keys')
    .description('the key that tasks are signed with')
    .command('rotate')
    .description('replace it; nodes reconnect and follow, what runs is left alone')
    .option('--retire-in <seconds>', 'how long nodes go on to take tasks of the old key; 0 if it leaked', whole)
    .option(...json)
    .action((options) =>
      carry(async (client) => {
        const body = given({ retire_in_seconds: options.retireIn });
        printItem(await client.change<Item>('POST', '/api/v1/keys/rotate', body), options);
      }),
    );
}
