/** `gpuaas credentials | service-accounts`: secrets that launches need, and identities that workloads act as. */
import { type Command, Option } from 'commander';
import { AgentError } from '../../contract/failures.ts';
import { credentialKinds } from '../../server/db/entities/credential.ts';
import { readSecretFile } from '../secret-file.ts';
import type { Carry } from './carry.ts';
import type { ControlPlaneClient } from './client.ts';
import { group } from './group.ts';
import { given, json } from './options.ts';
import { type Column, field, type Item, printItem } from './things.ts';

const credentials = '/api/v1/access-credentials';
const accounts = '/api/v1/service-accounts';
const project = ['--project <id>', 'its project; needed only with a token that belongs to none'] as const;
const file = ['--file <file>', 'file with the value, - for standard input; never an argument'] as const;

export function addCredentialCommands(program: Command, carry: Carry): void {
  addCredentials(program, carry);
  addServiceAccounts(program, carry);
}

function addCredentials(program: Command, carry: Carry): void {
  const columns: Column[] = [
    ...([
      ['ID', field('id')],
      ['NAME', field('name')],
      ['KIND', field('kind')],
    ] as Column[]),
    ...([
      ['SET', field('value_set_at')],
      ['PROJECT', field('project_id')],
    ] as Column[]),
  ];
  const none = 'No credentials: gpuaas credentials add NAME --kind KIND --file FILE';
  const about = 'secrets that launches of a project need; a value goes in and is never shown';
  const command = group(program, carry, about, { name: 'credentials', path: credentials, columns, none });
  command
    .command('add <name>')
    .description('keep a secret; its value is read from a file or from standard input')
    .addOption(new Option('--kind <kind>', 'what it is').choices([...credentialKinds]).makeOptionMandatory())
    .requiredOption(...file)
    .option(...project)
    .option(...json)
    .action((name, options) =>
      carry(async (client) => {
        const value = textOf(await readSecretFile(name, options.file), options.kind);
        const body = given({ name, kind: options.kind, value, project_id: options.project });
        printItem(await client.change<Item>('POST', credentials, body), options);
      }),
    );
  command
    .command('rotate <id>')
    .description('set the value of a credential (name or id) anew, for launches from now on')
    .requiredOption(...file)
    .option(...json)
    .action((name, options) =>
      carry(async (client) => {
        const { id, kind } = await findCredential(client, name);
        const value = textOf(await readSecretFile(name, options.file), kind);
        printItem(await client.change<Item>('POST', `${credentials}/${id}/rotate`, { value }), options);
      }),
    );
  command
    .command('remove <id>')
    .description('forget a credential (name or id) and its value; what runs keeps what it was given')
    .option(...json)
    .action((name, options) =>
      carry(async (client) => {
        const { id } = await findCredential(client, name);
        printItem(await client.change<Item>('DELETE', `${credentials}/${id}`), options);
      }),
    );
}

function addServiceAccounts(program: Command, carry: Carry): void {
  const columns: Column[] = [
    ...([
      ['ID', field('id')],
      ['NAME', field('name')],
      ['ROLE', field('role')],
    ] as Column[]),
    ...([
      ['CREATED', field('created_at')],
      ['PROJECT', field('project_id')],
    ] as Column[]),
  ];
  const none = 'No service accounts: gpuaas service-accounts add NAME --role ROLE';
  const listed = { name: 'service-accounts', path: accounts, columns, none };
  const command = group(program, carry, 'whom workloads of a project act as', listed);
  command
    .command('add <name>')
    .description('make an account; each instance that acts as it gets a token of its own')
    .addOption(new Option('--role <role>', 'what it may do').choices(['member', 'viewer']).makeOptionMandatory())
    .option(...project)
    .option(...json)
    .action((name, options) =>
      carry(async (client) => {
        const body = given({ name, role: options.role, project_id: options.project });
        printItem(await client.change<Item>('POST', accounts, body), options);
      }),
    );
  command
    .command('remove <id>')
    .description('remove an account (name or id); the tokens of its instances end at once')
    .option(...json)
    .action((name, options) =>
      carry(async (client) => {
        const { id } = await findAccount(client, name);
        printItem(await client.change<Item>('DELETE', `${accounts}/${id}`), options);
      }),
    );
}

interface Named extends Item {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
}

/** By id or by name; `resource.conflict` where the token sees several of that name. */
export function findCredential(client: ControlPlaneClient, name: string): Promise<Named> {
  return find(client, credentials, name);
}

export function findAccount(client: ControlPlaneClient, name: string): Promise<Named> {
  return find(client, accounts, name);
}

async function find(client: ControlPlaneClient, path: string, name: string): Promise<Named> {
  const all = (await Array.fromAsync(client.list<Item>(path))) as Named[];
  const [found, ...others] = all.filter((each) => each.id === name || each.name === name);
  if (!found) throw new AgentError('resource.not_found', { reason: `There is no ${JSON.stringify(name)}.` });
  if (others.length > 0) {
    throw new AgentError('resource.conflict', { reason: `Several projects have ${name}: name it by its id.` });
  }
  return found;
}

/** A token is one word; a key is kept byte for byte, as the line break at its end belongs to it. */
function textOf(text: string, kind: string): string {
  return kind === 'token' ? text.trim() : text;
}
