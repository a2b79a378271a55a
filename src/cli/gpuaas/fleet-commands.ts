/** `gpuaas projects | tokens | allocations | audit`: who may do what and where, and who did. */
import { type Command, Option } from 'commander';
import { roles } from '../../server/db/entities/project.ts';
import { printJson, printLine, tell } from '../output.ts';
import { addAllocations } from './allocation-commands.ts';
import type { Carry } from './carry.ts';
import { addShow, group } from './group.ts';
import { atLeastOne, given, json, whole } from './options.ts';
import { type Column, field, type Item, printItem, printList } from './things.ts';

export function addFleetCommands(program: Command, carry: Carry): void {
  addProjects(program, carry);
  addTokens(program, carry);
  addAllocations(program, carry);
  addAudit(program, carry);
}

function addProjects(program: Command, carry: Carry): void {
  const path = '/api/v1/projects';
  const columns: Column[] = [
    ['ID', field('id')],
    ['NAME', field('name')],
    ['CREATED', field('created_at')],
  ];
  const none = 'No projects yet: gpuaas projects create NAME';
  const command = group(program, carry, 'who owns instances and pays for them', {
    name: 'projects',
    path,
    columns,
    none,
  });
  addShow(command, carry, path);
  command
    .command('create <name>')
    .description('make a project')
    .option(...json)
    .action((name, options) =>
      carry(async (client) => printItem(await client.change<Item>('POST', path, { name }), options)),
    );
}

function addTokens(program: Command, carry: Carry): void {
  const path = '/api/v1/tokens';
  const columns: Column[] = [
    ['ID', field('id')],
    ['NAME', field('name')],
    ['ROLE', field('role')],
    ['PROJECT', field('project_id')],
    ['EXPIRES', field('expires_at')],
    ['REVOKED', field('revoked_at')],
  ];
  const none = 'No tokens.';
  const command = group(program, carry, 'who may do what', { name: 'tokens', path, columns, none });
  command
    .command('create <name>')
    .description('make a token; it is printed this once')
    .addOption(new Option('--role <role>', 'what it may do').choices([...roles]).makeOptionMandatory())
    .option('--project <id>', 'its project; for member and viewer')
    .option('--expires <seconds>', 'seconds until it ends; without, it ends with the token that makes it', whole)
    .option(...json)
    .action((name, options) =>
      carry(async (client) => {
        const body = { name, role: options.role, project_id: options.project, expires_in_seconds: options.expires };
        const made = await client.change<Item>('POST', path, given(body));
        if (options.json) {
          printJson(made);
        } else {
          tell(`Token ${name} with the role ${options.role}. It is shown this once:`);
          printLine(String(made['token']));
        }
      }),
    );
  command
    .command('revoke <id>')
    .description('take a token back for good, and all tokens that it has made')
    .option('--keep-made', 'leave those that it has made: it is replaced, and has not leaked', false)
    .option(...json)
    .action((id, options) =>
      carry(async (client) =>
        printItem(
          await client.change<Item>(
            'DELETE',
            `${path}/${encodeURIComponent(id)}${options.keepMade ? '?keep_made=true' : ''}`,
          ),
          options,
        ),
      ),
    );
}

function addAudit(program: Command, carry: Carry): void {
  const path = '/api/v1/audit';
  const columns: Column[] = [
    ['TIME', field('time')],
    ['ACTOR', field('actor')],
    ['ROLE', field('role')],
    ['OUTCOME', (item) => item['code'] ?? item['outcome']],
    ['REQUEST', (item) => `${item['method']} ${item['route']}`],
    ['SUBJECT', field('subject')],
    ['FROM', field('remote')],
    ['CORRELATION', field('correlation_id')],
  ];
  program
    .command('audit')
    .description('who has asked for what change, newest first')
    .option('--actor <name>', 'only of this one: token:ID')
    .option('--subject <id>', 'only about this thing')
    .addOption(new Option('--outcome <outcome>', 'only what was').choices(['accepted', 'refused']))
    .option('--correlation <id>', 'only the request of this name, as failures and logs have it')
    .option('--limit <count>', 'at most so many', atLeastOne, 50)
    .option(...json)
    .action(({ actor, subject, outcome, correlation: correlation_id, limit, ...options }) =>
      carry((client) =>
        printList(client, path, {
          ...{ query: { actor, subject, outcome, correlation_id }, limit, columns },
          ...{ none: 'Nobody has asked for a change like that.', json: options.json },
        }),
      ),
    );
}
