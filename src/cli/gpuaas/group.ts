/** What every group of commands has: a list, and one thing in full. */
import type { Command, Option } from 'commander';
import type { Carry } from './carry.ts';
import { json } from './options.ts';
import { type Column, type Item, printItem, printList } from './things.ts';
import { refuseUnknownCommands } from './unknown-command.ts';

export interface Listed {
  readonly name: string;
  readonly path: string;
  readonly columns: readonly Column[];
  readonly none: string;
  /** Options of `list` that are its filters in the interface as well. */
  readonly filters?: readonly Option[];
}

/** A group with its `list`. */
export function group(program: Command, carry: Carry, what: string, listed: Listed): Command {
  const { name, path, columns, none, filters = [] } = listed;
  const command = refuseUnknownCommands(program.command(name).description(what));
  const list = command.command('list', { isDefault: true }).description(`list the ${name} that this token sees`);
  for (const filter of filters) list.addOption(filter);
  list
    .option(...json)
    .action(({ json: isJson, ...query }: { json: boolean }) =>
      carry((client) => printList(client, path, { json: isJson, query, columns, none })),
    );
  return command;
}

export function addShow(command: Command, carry: Carry, path: string, pageOf?: (item: Item) => string): void {
  command
    .command('show <id>')
    .description('show one of them in full')
    .option(...json)
    .action((id, options) =>
      carry(async (client) => printItem(await client.get<Item>(`${path}/${encodeURIComponent(id)}`), options, pageOf)),
    );
}
