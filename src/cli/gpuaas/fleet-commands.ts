/** `gpuaas projects | tokens | allocations`: who may do what, and where. */
import { type Command, InvalidArgumentError } from 'commander';
import { printJson, printLine, tell } from '../output.ts';
import type { Carry } from './carry.ts';
import { addShow, group } from './group.ts';
import { given, json, whole } from './options.ts';
import { type Column, field, type Item, printItem } from './things.ts';

export function addFleetCommands(program: Command, carry: Carry): void {
  addProjects(program, carry);
  addTokens(program, carry);
  addAllocations(program, carry);
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
    .requiredOption('--role <role>', 'admin, operator, member or viewer')
    .option('--project <id>', 'its project; for member and viewer')
    .option('--expires <seconds>', 'seconds until it ends; never without', whole)
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
    .description('take a token back for good')
    .option(...json)
    .action((id, options) =>
      carry(async (client) =>
        printItem(await client.change<Item>('DELETE', `${path}/${encodeURIComponent(id)}`), options),
      ),
    );
}

function addAllocations(program: Command, carry: Carry): void {
  const path = '/api/v1/allocations';
  const columns: Column[] = [
    ['ID', field('id')],
    ['NAME', field('name')],
    ['STATE', field('state')],
    ['GPUS', field('shape.gpu_count')],
    ['CORES', field('shape.cpu_cores')],
    ['MEMORY', (item) => `${field('shape.memory_gib')(item)} GiB`],
    ['NODE', field('node_id')],
    ['PROJECT', field('project_id')],
  ];
  const none = 'No allocations.';
  const command = group(program, carry, 'shares of the fleet', { name: 'allocations', path, columns, none });
  addShow(command, carry, path);
  command
    .command('create <name>')
    .description('give an allocation to a project')
    .requiredOption('--project <id>', 'project that it is given to')
    .requiredOption('--cpus <cores>', 'cores', whole)
    .requiredOption('--memory <gib>', 'memory in GiB', whole)
    .option('--gpus <count>', 'cards', whole, 0)
    .option('--ssh <user@host[:port]>', 'how its users log in, for the tunnel command', sshAccess)
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
  command
    .command('end <id>')
    .description('end an allocation: its instances are decommissioned')
    .option(...json)
    .action((id, options) =>
      carry(async (client) =>
        printItem(await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/end`), options),
      ),
    );
}

function sshAccess(text: string): { user: string; host: string; port: number } {
  const [, user, host, port = '22'] = /^([a-z_][a-z0-9_-]*)@([^@\s]+?)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (user === undefined || host === undefined) {
    throw new InvalidArgumentError('It must be USER@HOST or USER@HOST:PORT.');
  }
  return { user, host, port: Number(port) };
}
