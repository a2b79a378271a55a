/** `gpuaas projects | tokens | allocations | nodes | artifacts`: what the platform's people look after. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Json } from '../../contract/failures.ts';
import { printJson, printLine, tell } from '../output.ts';
import type { Carry } from './carry.ts';
import { type Column, field, type Item, printItem, printList } from './things.ts';

const json = ['--json', 'machine-readable output, errors included', false] as const;
const reason = ['--reason <text>', 'why, for those who read the events'] as const;

interface Listed {
  readonly name: string;
  readonly path: string;
  readonly columns: readonly Column[];
  readonly none: string;
}

export function addFleetCommands(program: Command, carry: Carry): void {
  addProjects(program, carry);
  addTokens(program, carry);
  addAllocations(program, carry);
  addNodes(program, carry);
  addArtifacts(program, carry);
}

/** The group with its `list` and `show`, which all of them have. */
function group(program: Command, carry: Carry, what: string, { name, path, columns, none }: Listed): Command {
  const command = program.command(name).description(what);
  command
    .command('list', { isDefault: true })
    .description(`list the ${name} that this token sees`)
    .option(...json)
    .action((options) => carry((client) => printList(client, path, { ...options, columns, none })));
  return command;
}

function addShow(command: Command, carry: Carry, path: string): void {
  command
    .command('show <id>')
    .description('show one of them in full')
    .option(...json)
    .action((id, options) =>
      carry(async (client) => printItem(await client.get<Item>(`${path}/${encodeURIComponent(id)}`), options)),
    );
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

function addNodes(program: Command, carry: Carry): void {
  const path = '/api/v1/nodes';
  const columns: Column[] = [
    ['ID', field('id')],
    ['NAME', field('name')],
    ['STATUS', field('status')],
    ['CONNECTED', field('connected')],
    ['RUNTIME', (item) => readyWord(field('runtime.ready')(item))],
    ['PROBED', field('runtime_at')],
    ['DRAIN', drainWord],
    ['AGENT', field('agent_version')],
    ['ALLOCATION', field('allocation_id')],
  ];
  const none = 'No nodes yet: gpuaas nodes join-token ALLOCATION';
  const command = group(program, carry, 'hosts, and how they join', { name: 'nodes', path, columns, none });
  addShow(command, carry, path);
  command
    .command('join-token <allocation>')
    .description('make a token with which one host becomes a node; it is printed this once')
    .option('--minutes <count>', 'how long it works', whole)
    .option(...json)
    .action((allocation, options) =>
      carry(async (client) => {
        const seconds = options.minutes === undefined ? undefined : options.minutes * 60;
        const body = given({ allocation_id: allocation, expires_in_seconds: seconds });
        const made = await client.change<Item>('POST', '/api/v1/nodes/join-tokens', body);
        if (options.json) {
          printJson(made);
        } else {
          tell(`Good for one host until ${made['expires_at']}. On the host: node-agent enroll --token-file FILE`);
          printLine(String(made['token']));
        }
      }),
    );
  command
    .command('drain <id>')
    .description('keep new work away from a node; what runs is left alone')
    .option('--off', 'let new work come again', false)
    .option(...json)
    .action((id, options) =>
      carry(async (client) => {
        const body = { drain: !options.off };
        printItem(await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/drain`, body), options);
      }),
    );
  for (const [name, description] of [
    ['revoke', 'shut a node out for good'],
    ['release', 'end the quarantine of a node'],
  ] as const) {
    command
      .command(`${name} <id>`)
      .description(description)
      .option(...json)
      .action((id, options) =>
        carry(async (client) =>
          printItem(await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/${name}`), options),
        ),
      );
  }
}

function addArtifacts(program: Command, carry: Carry): void {
  const path = '/api/v1/artifacts';
  const columns: Column[] = [
    ['ID', field('id')],
    ['NAME', field('name')],
    ['LIFECYCLE', field('lifecycle')],
    ['TRUST', field('trust')],
    ['LAUNCHABLE', field('launchable')],
    ['DIGEST', (item) => String(field('digest')(item)).slice(0, 19)],
    ['REPOSITORY', field('repository')],
  ];
  const none = 'No artifacts yet: gpuaas artifacts register NAME REFERENCE';
  const command = group(program, carry, 'images that may be launched', { name: 'artifacts', path, columns, none });
  addShow(command, carry, path);
  command
    .command('register <name> <reference>')
    .description('register an image that was pushed, as registry/repository@sha256:…')
    .option('--media-type <type>', 'media type of what the digest names', 'application/vnd.oci.image.manifest.v1+json')
    .option('--source <url>', 'where it was built from')
    .option('--revision <commit>', 'revision that it was built from')
    .option(...json)
    .action((name, reference, options) =>
      carry(async (client) => {
        const [repository = '', digest = ''] = String(reference).split('@');
        const provenance = given({ source: options.source, revision: options.revision });
        const body = { name, repository, digest, media_type: options.mediaType, provenance };
        printItem(await client.change<Item>('POST', path, body), options);
      }),
    );
  command
    .command('publish <repository>')
    .description('get a token to push to one repository; it is printed this once')
    .option('--expires <seconds>', 'how long pushes may begin', whole)
    .option(...json)
    .action((repository, options) =>
      carry(async (client) => {
        const body = given({ repository, expires_in_seconds: options.expires });
        const made = await client.change<Item>('POST', `${path}/publish`, body);
        if (options.json) {
          printJson(made);
        } else {
          tell(`Good for pushes to ${repository} until ${made['expires_at']}. Then: gpuaas artifacts register, verify`);
          printLine(String(made['token']));
        }
      }),
    );
  const act = (name: string, description: string) =>
    command
      .command(`${name} <id>`)
      .description(description)
      .option(...json);
  const send = (id: string, action: string, body: Json | undefined, options: { json: boolean }) =>
    carry(async (client) =>
      printItem(await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/${action}`, body), options),
    );
  act('verify', 'ask the registry whether it has exactly this image').action((id, options) =>
    send(id, 'verify', undefined, options),
  );
  act('promote', 'vouch for a verified artifact on one channel')
    .requiredOption('--channel <name>', 'dev, test, staging or prod')
    .action((id, options) => send(id, 'promote', { channel: options.channel }, options));
  act('deprecate', 'nothing new is launched from it; what runs goes on')
    .requiredOption(...reason)
    .action((id, options) => send(id, 'deprecate', { reason: options.reason }, options));
  act('retire', 'end its life for good')
    .requiredOption(...reason)
    .action((id, options) => send(id, 'retire', { reason: options.reason }, options));
  act('revoke', 'take the trust in it back for good')
    .requiredOption(...reason)
    .action((id, options) => send(id, 'revoke', { reason: options.reason }, options));
}

function readyWord(ready: unknown): string {
  return ready === undefined ? 'unknown' : ready === true ? 'ready' : 'not ready';
}

/** Asked for here, or by somebody on the host, which refuses new work just the same. */
function drainWord(node: Item): string {
  return field('drain')(node) ? 'yes' : field('inventory.draining')(node) ? 'by its host' : 'no';
}

/** Without the keys that nobody gave. */
export function given(body: Readonly<Record<string, Json | undefined>>): Json {
  return Object.fromEntries(Object.entries(body).filter((pair): pair is [string, Json] => pair[1] !== undefined));
}

export function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    throw new InvalidArgumentError('It must be a whole number.');
  }
  return Number(text);
}

function sshAccess(text: string): { user: string; host: string; port: number } {
  const [, user, host, port = '22'] = /^([a-z_][a-z0-9_-]*)@([^@\s]+?)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (user === undefined || host === undefined) {
    throw new InvalidArgumentError('It must be USER@HOST or USER@HOST:PORT.');
  }
  return { user, host, port: Number(port) };
}
