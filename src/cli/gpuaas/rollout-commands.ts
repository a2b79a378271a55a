/** `gpuaas rollouts`: brings a release to the nodes of a channel, canaries first. */
import { type Command, Option } from 'commander';
import type { Json } from '../../contract/failures.ts';
import { rolloutStates } from '../../server/db/entities/rollout.ts';
import { table, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { Carry } from './carry.ts';
import { group } from './group.ts';
import { given, json, whole } from './options.ts';
import { type Column, field, type Item, itemText, printItem } from './things.ts';
import { followRollout } from './watch-update.ts';

const path = '/api/v1/rollouts';

export function addRolloutCommands(program: Command, carry: Carry): void {
  const columns: Column[] = [
    ['ID', field('id')],
    ['VERSION', field('version')],
    ['CHANNEL', field('channel')],
    ['STATE', field('state')],
    ['STAGE', field('stage')],
    ['NODES', (item) => countWords(item)],
    ['STARTED', field('created_at')],
    ['REASON', field('reason')],
  ];
  const command = group(program, carry, 'releases on their way to nodes', {
    ...{ name: 'rollouts', path, columns, none: 'No rollouts yet: gpuaas rollouts start VERSION' },
    filters: [
      new Option('--channel <name>', 'only to this channel'),
      new Option('--state <state>', 'only those in this state').choices([...rolloutStates]),
    ],
  });
  addStart(command, carry);
  command
    .command('describe <id>')
    .description('show one of them, with its nodes')
    .option('-f, --follow', 'go on until nothing more happens by itself', false)
    .option(...json)
    .action((id, { follow, ...options }) =>
      carry(async (client) => {
        if (follow) return await followRollout(client, id, options);
        printItem(await client.get<Item>(`${path}/${encodeURIComponent(id)}`), options, rolloutPage);
        return undefined;
      }),
    );
  for (const [name, description] of [
    ['pause', 'let no other node begin; those that are at it go on'],
    ['resume', 'let it go on'],
    ['cancel', 'end it; who has the release keeps it'],
  ] as const) {
    const action = command.command(`${name} <id>`).description(description);
    if (name !== 'resume') action.option('--reason <text>', 'why, for others');
    action.option(...json).action((id, { reason, ...options }) =>
      carry(async (client) => {
        const body = name === 'resume' ? undefined : given({ reason });
        printItem(
          await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/${name}`, body),
          options,
          rolloutPage,
        );
      }),
    );
  }
}

function addStart(command: Command, carry: Carry): void {
  command
    .command('start <version>')
    .description('bring a release to the nodes of a channel')
    .option('--channel <name>', 'to these nodes (default: the channel of the release)')
    .addOption(new Option('--canary <nodes...>', 'these begin (default: those that are marked, or else one in twenty)'))
    .addOption(
      new Option('--canary-percent <count>', 'so many of a hundred begin').argParser(whole).conflicts('canary'),
    )
    .addOption(
      new Option('--no-canaries', 'all begin together: nothing is tried before').conflicts(['canary', 'canaryPercent']),
    )
    .option('--wait <seconds>', 'how long the canaries run it before the rest begins', whole)
    .option('--parallel <count>', 'most nodes that update at a time', whole)
    .option('--jitter <seconds>', 'the rest begins spread over so long', whole)
    .option('--urgent', 'also outside of the windows of hosts', false)
    .option('-f, --follow', 'go on until nothing more happens by itself', false)
    .option(...json)
    .action((version, { follow, ...options }) =>
      carry(async (client) => {
        const { channel, wait, parallel, jitter, urgent } = options;
        const bounds = { wait_seconds: wait, parallel, jitter_seconds: jitter, urgent: urgent || undefined };
        const body = given({ version, channel, canaries: canariesOf(options), ...bounds });
        const rollout = await client.change<Item>('POST', path, body);
        const id = String(rollout['id']);
        if (follow) return await followRollout(client, id, options);
        printItem(rollout, options, rolloutPage);
        if (!options.json) tell(`Follow it: gpuaas rollouts describe ${id} -f`);
        return undefined;
      }),
    );
}

interface CanaryOptions {
  readonly canary?: string[];
  readonly canaryPercent?: number;
  readonly canaries: boolean;
}

function canariesOf({ canary, canaryPercent, canaries }: CanaryOptions): Json | undefined {
  if (!canaries) return { nodes: [] };
  if (canaryPercent !== undefined) return { percent: canaryPercent };
  return canary && { nodes: canary };
}

/** `12 committed, 1 rolled back`. */
function countWords({ counts }: Item): string {
  const words = Object.entries(counts as Readonly<Record<string, number>>)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state.replace('_', ' ')}`);
  return words.join(', ') || 'none';
}

interface Reached extends Item {
  readonly failure: { readonly message: string } | null;
}

function rolloutPage({ counts, nodes, ...facts }: Item): string {
  const rows = ((nodes ?? []) as readonly Reached[]).map((node) => [
    ...[String(node['name']), node['canary'] ? 'canary' : '', stateWords(node), String(node['agent_version'])],
    ...[node['connected'] ? '' : 'away', node.failure?.message ?? ''],
  ]);
  const shown = rows.length === 0 ? [] : ['', table(rows.map((row) => row.map(oneLine)))];
  return [itemText({ ...facts, nodes: countWords({ counts }) }), ...shown].join('\n');
}

function stateWords({ state, phase }: Item): string {
  const isAtWork = state === 'updating' && typeof phase === 'string';
  return String(isAtWork ? phase : state).replace('_', ' ');
}
