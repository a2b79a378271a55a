/** `gpuaas apps entitlements`: which projects may launch which apps. */
import type { Command } from 'commander';
import { AgentError } from '../../contract/failures.ts';
import type { Carry } from './carry.ts';
import { group } from './group.ts';
import { json } from './options.ts';
import { type Column, field, type Item, printItem } from './things.ts';

const path = '/api/v1/entitlements';

const columns: Column[] = [
  ['ID', field('id')],
  ['APP', field('app_slug')],
  ['PROJECT', (item) => item['project_id'] ?? 'every project'],
  ['GRANTED', field('created_at')],
  ['BY', field('created_by')],
];

export function addEntitlementCommands(apps: Command, carry: Carry): void {
  const none = 'No project may launch anything: gpuaas apps entitlements grant APP --project ID';
  const command = group(apps, carry, 'which projects may launch which apps', {
    ...{ name: 'entitlements', path, columns, none },
  });
  command
    .command('grant <app>')
    .description('let a project launch an app, or every project; safe to repeat')
    .option('--project <id>', 'the project')
    .option('--every-project', 'all that there are, and all that will be', false)
    .option(...json)
    .action((app, options) =>
      carry(async (client) => {
        if ((options.project === undefined) !== options.everyProject) {
          throw new AgentError('command.invalid', { reason: 'Give either --project or --every-project.' });
        }
        const body = { app_slug: app, project_id: options.project ?? null };
        printItem(await client.change<Item>('POST', path, body), options);
      }),
    );
  command
    .command('revoke <id>')
    .description('take an entitlement back; what runs goes on')
    .option(...json)
    .action((id, options) =>
      carry(async (client) =>
        printItem(await client.change<Item>('DELETE', `${path}/${encodeURIComponent(id)}`), options),
      ),
    );
}
