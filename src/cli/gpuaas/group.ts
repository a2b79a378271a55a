/** What every group of commands has: a list, and one thing in full. */
import type { Command } from 'commander';
import type { Carry } from './carry.ts';
import { json } from './options.ts';
import { type Column, type Item, printItem, printList } from './things.ts';
import { refuseUnknownCommands } from './unknown-command.ts';

export interface Listed {
  readonly name: string;
  readonly path: string;
  readonly columns: readonly Column[];
  readonly none: string;
}

/** A group with its `list`. */
export function group(program: Command, carry: Carry, what: string, { name, path, columns, none }: Listed): Command {
  const command = refuseUnknownCommands(program.command(name).description(what));
  command
    .command('list', { isDefault: true })
    .description(`list the ${name} that this token sees`)
    .option(...json)
    .action((options) => carry((client) => printList(client, path, { ...options, columns, none })));
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
