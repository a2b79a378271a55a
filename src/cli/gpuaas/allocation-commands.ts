/** `gpuaas allocations`: shares of the fleet, each with one host behind it. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Carry } from './carry.ts';
import { addShow, group } from './group.ts';
import { given, json, whole } from './options.ts';
import { type Column, field, type Item, printItem } from './things.ts';

const path = '/api/v1/allocations';
const pathOf = (id: string) => `${path}/${encodeURIComponent(id)}`;

const columns: Column[] = [
  ['ID', field('id')],
  ['NAME', field('name')],
  ['STATE', field('state')],
  ['GPUS', field('shape.gpu_count')],
  ['CORES', field('shape.cpu_cores')],
  ['MEMORY', (item) => `${field('shape.memory_gib')(item)} GiB`],
  ['NODE', field('node_id')],
  ['PROJECT', field('project_id')],
  ['BEYOND ITS HOST', beyondHost],
];

/** What it promises and its host does not have. */
function beyondHost(item: Item): string {
  const excess = item['excess'] as readonly { name: string; asked: number; have: number }[];
  return excess.map(({ name, asked, have }) => `${name} ${asked} of ${have}`).join(', ');
}

export function addAllocations(program: Command, carry: Carry): void {
  const none = 'No allocations.';
  const command = group(program, carry, 'shares of the fleet', { name: 'allocations', path, columns, none });
  addShow(command, carry, path);
  addCreate(command, carry);
  addChange(command, carry);
  command
    .command('end <id>')
    .description('end an allocation: its instances are decommissioned')
    .option(...json)
    .action((id, options) =>
      carry(async (client) => printItem(await client.change<Item>('POST', `${pathOf(id)}/end`), options)),
    );
}

const ssh = ['--ssh <user@host[:port]>', 'how its users log in, for the tunnel command', sshAccess] as const;

function addCreate(command: Command, carry: Carry): void {
  command
    .command('create <name>')
    .description('give an allocation to a project')
    .requiredOption('--project <id>', 'project that it is given to')
    .requiredOption('--cpus <cores>', 'cores', whole)
    .requiredOption('--memory <gib>', 'memory in GiB', whole)
    .option('--gpus <count>', 'cards', whole, 0)
    .option(...ssh)
    .option('--project-storage', 'the storage of the project can be mounted there', false)
    .option('--wipe', 'data of its instances is wiped when it ends, instead of kept', false)
    .option(...json)
    .action((name, options) =>
      carry(async (client) => {
        const shape = { gpu_count: options.gpus, cpu_cores: options.cpus, memory_gib: options.memory };
        const body = {
          ...{ name, project_id: options.project, shape, ssh: options.ssh, project_storage: options.projectStorage },
          data_policy: options.wipe ? 'wipe' : 'keep',
        };
        printItem(await client.change<Item>('POST', path, given(body)), options);
      }),
    );
}

function addChange(command: Command, carry: Carry): void {
  command
    .command('change <id>')
    .description('change what is given here, and leave the rest as it is')
    .option('--name <name>', 'what it is called')
    .option('--cpus <cores>', 'cores', whole)
    .option('--memory <gib>', 'memory in GiB', whole)
    .option('--gpus <count>', 'cards', whole)
    .option(...ssh)
    .option('--project-storage', 'the storage of the project can be mounted there')
    .option('--no-project-storage', 'it cannot be mounted there any more')
    .option(...json)
    .action((id, options) =>
      carry(async (client) => {
        const amounts = given({ gpu_count: options.gpus, cpu_cores: options.cpus, memory_gib: options.memory });
        const { shape } = await client.get<{ readonly shape: object }>(pathOf(id));
        const body = {
          ...{ name: options.name, ssh: options.ssh, project_storage: options.projectStorage },
          shape: Object.keys(amounts as object).length > 0 ? { ...shape, ...(amounts as object) } : undefined,
        };
        printItem(await client.change<Item>('PATCH', pathOf(id), given(body)), options);
      }),
    );
}

function sshAccess(text: string): { user: string; host: string; port: number } {
  const [, user, host, port = '22'] = /^([a-z_][a-z0-9_-]*)@([^@\s]+?)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (user === undefined || host === undefined) {
    throw new InvalidArgumentError('It must be USER@HOST or USER@HOST:PORT.');
  }
  return { user, host, port: Number(port) };
}
