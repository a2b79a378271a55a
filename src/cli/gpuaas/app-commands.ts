/** `gpuaas apps` and `gpuaas apps instances`: what can be launched, and what runs. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { channels } from '../../server/db/entities/artifact.ts';
import { printJson, printLine, table, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { Carry } from './carry.ts';
import { describeInstance } from './describe.ts';
import { addEntitlementCommands } from './entitlement-commands.ts';
import { printEvents } from './events.ts';
import { type Instance, instancePath } from './instance.ts';
import { launch } from './launch.ts';
import { printInstanceLogs } from './logs.ts';
import { amount, json, projectOption, whole } from './options.ts';
import { publishApp } from './publish.ts';
import { type Column, field, type Item, itemText, printItem, printList } from './things.ts';
import { refuseUnknownCommands } from './unknown-command.ts';
import { addVersionCommands } from './version-commands.ts';
import { untilSettled } from './watch.ts';

const noWait = ['--no-wait', 'return as soon as it is accepted'] as const;
const timeout = ['--timeout <seconds>', 'how long to wait, if not as long as it may take', whole] as const;

export function addAppCommands(program: Command, carry: Carry): void {
  const apps = refuseUnknownCommands(program.command('apps').description('what can be launched, and what runs'));
  const path = '/api/v1/catalog/apps';
  apps
    .command('list', { isDefault: true })
    .description('list the apps of the catalog')
    .option(...json)
    .action((options) =>
      carry((client) => printList(client, path, { ...options, columns: appColumns, none: 'The catalog is empty.' })),
    );
  apps
    .command('show <app>')
    .description('show an app, or one version of it as APP@VERSION')
    .option(...json)
    .action((app, options) =>
      carry(async (client) => {
        const [slug = '', version] = String(app).split('@').map(encodeURIComponent);
        const item = await client.get<Item>(`${path}/${slug}${version === undefined ? '' : `/versions/${version}`}`);
        printItem(item, options, version === undefined ? describeApp : describeVersion);
      }),
    );
  apps
    .command('add <app>')
    .description('add an app to the catalog; versions of it and entitlements to it come next')
    .requiredOption('--name <text>', 'name for people')
    .requiredOption('--summary <text>', 'one line about it')
    .requiredOption('--category <text>', 'group in the catalog, for example notebook')
    .option(...json)
    .action((slug, { name, summary, category, ...options }) =>
      carry(async (client) => {
        const app = await client.change<Item>('POST', path, { slug, display_name: name, summary, category });
        printItem(app, options);
      }),
    );
  apps
    .command('publish <file>')
    .description(
      'publish a manifest (YAML or JSON) as a version of its app; adds the app where it is new; safe to repeat',
    )
    .requiredOption('--as <version>', 'name of the version, for example 2026.11')
    .option('--category <name>', 'group in the catalog, for an app that is new', 'other')
    .addOption(
      new Option('--lock <channel>', 'launch it only from the images that are promoted to this channel').choices([
        ...channels,
      ]),
    )
    .option(...json)
    .action((file, options) => carry((client) => publishApp(client, file, options)));
  addVersionCommands(apps, carry);
  addEntitlementCommands(apps, carry);
  addInstances(apps, carry);
}

interface Version {
  readonly version: string;
  readonly status: string;
  readonly launchable: boolean;
  readonly reasons: readonly string[];
}

/** An app with its versions, and why one cannot be launched. */
function describeApp({ versions, ...app }: Item): string {
  const rows = (versions as Version[]).map(({ version, status, launchable, reasons }) => [
    ...[version, status, launchable ? 'can be launched' : reasons.map(oneLine).join(' ')],
  ]);
  return [itemText(app), '', 'Versions', table(rows)].join('\n');
}

/** A version without its manifest, which `gpuaas apps manifest` prints. */
function describeVersion({ manifest: _manifest, ...version }: Item): string {
  return itemText(version);
}

const appColumns: Column[] = [
  ['APP', field('slug')],
  ['NAME', field('display_name')],
  ['CATEGORY', field('category')],
  ['VERSIONS', (item) => (item['versions'] as { version: string }[]).map(({ version }) => version).join(', ')],
  ['LAUNCHABLE', (item) => (item['versions'] as { launchable: boolean }[]).some(({ launchable }) => launchable)],
];

const instanceColumns: Column[] = [
  ['ID', field('id')],
  ['NAME', field('display_name')],
  ['APP', (item) => `${item['app_slug']}@${item['app_version']}`],
  ['STATE', field('state')],
  ['SINCE', field('state_since')],
  ['ALLOCATION', field('allocation_id')],
];

function addInstances(apps: Command, carry: Carry): void {
  const instances = refuseUnknownCommands(
    apps.command('instances').description('launch apps, look at what runs, stop and remove it'),
  );
  addLaunch(instances, carry);
  instances
    .command('list', { isDefault: true })
    .description('list instances')
    .option('--all', 'also those that are decommissioned', false)
    .option('--allocation <id>', 'only on this allocation')
    .option('--project <id>', 'only of this project')
    .option(...json)
    .action((options) => carry((client) => listInstances(client, options)));
  instances
    .command('describe <id>')
    .description('show how an instance is, how to reach it, and what happened to it')
    .option(...json)
    .action((id, options) =>
      carry(async (client) => {
        const instance = await client.get<Instance>(instancePath(id));
        if (options.json) printJson(instance);
        else printLine(describeInstance(instance, Date.now()));
      }),
    );
  instances
    .command('events <id>')
    .description('print what happened to an instance')
    .option('-f, --follow', 'go on with what happens from now on', false)
    .option(...json)
    .action((id, options) => carry((client) => printEvents(client, id, options)));
  instances
    .command('logs <id>')
    .description('print what an instance wrote, also after it ended')
    .option('-f, --follow', 'go on with what it writes from now on, until it is stopped or gone', false)
    .option('--tail <lines>', 'only the last lines, of each service', whole)
    .option('--service <name>', 'only this service of a stack')
    .option('--task <id>', 'what the agent did for a task of the instance instead')
    .option(...json)
    .action((id, options) => carry((client) => printInstanceLogs(client, id, options)));
  for (const [action, description] of actions) {
    addAction(instances, carry, action, description);
  }
}

const actions = [
  ['stop', 'stop an instance; its data and packages stay'],
  ['start', 'start a stopped instance'],
  ['restart', 'stop and start an instance'],
  ['decommission', 'take an instance away, with its scratch data'],
] as const;

function addAction(instances: Command, carry: Carry, action: (typeof actions)[number][0], description: string): void {
  const command = instances.command(`${action} <id>`).description(description);
  if (action === 'decommission') {
    command.option('--keep-data', 'keep its scratch folders', false);
  }
  command
    .option(...noWait)
    .option(...timeout)
    .option(...json)
    .action((id, options) =>
      carry(async (client) => {
        const body = { action, ...(options.keepData ? { keep_data: true } : {}) };
        const asked = await client.change<Instance>('POST', `${instancePath(id)}/actions`, body);
        if (!options.wait && !options.json) tell(oneLine(asked.summary));
        const watched = options.wait ? await untilSettled(client, asked, options) : { instance: asked, status: 0 };
        if (options.json) printJson(watched.instance);
        return watched.status;
      }),
    );
}

function addLaunch(instances: Command, carry: Carry): void {
  instances
    .command('launch <app>')
    .description('launch an app (APP or APP@VERSION) on an allocation and wait until it runs')
    .option('--allocation <id>', 'where to run it', allocationId)
    .option('--artifact <id>', 'which image; may be left out where one fits')
    .option('--name <text>', 'name for people')
    .addOption(projectOption())
    .option('--set <name=value>', 'value of a parameter of the app; can be given again', collect, {})
    .option('--secret-file <name=file>', 'file with a secret that the app asks for, - for standard input', collectFile)
    .option('--credential <name>', 'access credential of the project, for apps that ask for one')
    .option('--service-account <name>', 'account that it acts as, for apps that ask for one')
    .option(
      '--secret-credential <name=credential>',
      'access credential in place of a secret that the app asks for; can be given again',
      collectCredential,
    )
    .option('--values <file>', 'JSON file with a whole launch request; options win over it')
    .option('--gpus <count>', 'cards', whole)
    .option('--cpus <cores>', 'cores', amount)
    .option('--memory <gib>', 'memory in GiB', amount)
    .option('--ask', 'ask for what was not given; by itself in a terminal where no allocation was given')
    .option('--no-ask', 'never ask')
    .option(...noWait)
    .option(...timeout)
    .option(...json)
    .action((app, options) => carry((client) => launch(client, app, options)));
}

async function listInstances(
  client: Parameters<Parameters<Carry>[0]>[0],
  options: { all: boolean; allocation?: string; project?: string; json: boolean },
): Promise<void> {
  const query = { allocation_id: options.allocation, project_id: options.project };
  await printList(client, '/api/v1/app-instances', {
    ...{ query, columns: instanceColumns, json: options.json },
    only: options.all ? () => true : (item) => item['state'] !== 'decommissioned',
    none: 'Nothing runs: gpuaas apps instances launch APP --allocation ID',
  });
}

function allocationId(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) {
    throw new InvalidArgumentError('It must be the id of an allocation; `gpuaas allocations` lists them.');
  }
  return text;
}

/** `host_port=8890` is a number and `true` a truth value; quotes make a text of either: `name="8890"`. */
function collect(text: string, before: Readonly<Record<string, string | number | boolean>>) {
  const [, name, value = ''] = /^([a-z][a-z0-9_]*)=([\s\S]*)$/.exec(text) ?? [];
  if (name === undefined) {
    throw new InvalidArgumentError('It must be NAME=VALUE.');
  }
  return { ...before, [name]: typed(value) };
}

/** Files by the name of the secret. */
function collectFile(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  return { ...before, ...pair(text, 'FILE') };
}

/** Credentials by the name of the secret. */
function collectCredential(text: string, before: Readonly<Record<string, string>> = {}) {
  return { ...before, ...pair(text, 'CREDENTIAL') };
}

function pair(text: string, what: string): Readonly<Record<string, string>> {
  const [, name, value] = /^([a-z][a-z0-9_]*)=(.+)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new InvalidArgumentError(`It must be NAME=${what}.`);
  }
  return { [name]: value };
}

function typed(text: string): string | number | boolean {
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (text === 'true' || text === 'false') return text === 'true';
  return /^".*"$/.test(text) ? text.slice(1, -1) : text;
}
