/** `gpuaas nodes`: hosts, how they join, and how they are kept from work. */
import { writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { readinessStates } from '../../server/db/entities/node.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, tell } from '../output.ts';
import { askNode } from './ask-node.ts';
import type { Carry } from './carry.ts';
import { agentWord, describeNode, drainWord, type Node } from './describe-node.ts';
import { fetchDiagnostics } from './diagnostics.ts';
import { addShow, group } from './group.ts';
import { given, json, whole } from './options.ts';
import { type Column, field, type Item, printItem } from './things.ts';
import { untilUpdated } from './watch-update.ts';

export function addNodeCommands(program: Command, carry: Carry): void {
  const path = '/api/v1/nodes';
  const columns: Column[] = [
    ['ID', field('id')],
    ['NAME', field('name')],
    ['STATUS', field('status')],
    ['CONNECTED', field('connected')],
    ['READY', (item) => String(field('readiness.state')(item)).replace('_', ' ')],
    ['PROBED', field('probed_at')],
    ['DRIFT', (item) => (item['drift'] as Node['drift']).map(({ what }) => what).join(', ')],
    ['DRAIN', (item) => drainWord(item as unknown as Node)],
    ['AGENT', (item) => agentWord(item as unknown as Node)],
    ['ALLOCATION', field('allocation_id')],
  ];
  const none = 'No nodes yet: gpuaas nodes join-token ALLOCATION';
  const command = group(program, carry, 'hosts, and how they join', {
    ...{ name: 'nodes', path, columns, none },
    filters: [new Option('--readiness <state>', 'only those of this readiness').choices([...readinessStates])],
  });
  addShow(command, carry, path, page);
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
          tell(`Join token, shown this once; good for one host until ${made['expires_at']}.`);
          tell('On the host, as root: sh bootstrap.sh --url ORIGIN --token-file FILE');
          printLine(String(made['token']));
        }
      }),
    );
  command
    .command('diagnostics <id>')
    .description('have a node collect a bundle for support, without secrets, and write it into a file')
    .requiredOption('-o, --output <file>', 'where it goes: .tar.gz or .json; readable for you alone')
    .option('--tasks <count>', 'newest tasks whose logs are wanted (10)', whole)
    .option(...json)
    .action((id, options) => carry((client) => fetchDiagnostics(client, id, options)));
  command
    .command('keys <id>')
    .description('print the public keys that a node signs receipts of jobs with, or write them into a file')
    .option('-o, --output <file>', 'where they go')
    .action((id, { output }) =>
      carry(async (client) => {
        const keys = await client.get<Item>(`${path}/${encodeURIComponent(id)}/keys`);
        if (output === undefined) {
          printJson(keys);
          return;
        }
        writeFileSync(output, `${JSON.stringify(keys)}\n`);
        printLine(`Keys in ${output}: for gpuaas jobs verify --key.`);
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
        printItem(await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/drain`, body), options, page);
      }),
    );
  command
    .command('rotate-keys <id>')
    .description('have a node replace its keys now, and wait until it has')
    .option(...json)
    .action((id, options) =>
      carry(async (client) => {
        const asked = await askNode(client, `${path}/${encodeURIComponent(id)}/rotate-keys`);
        if (options.json) printJson(asked);
        else printLine('The keys of the node are replaced. The old identity key ends with its next session.');
      }),
    );
  addUpdates(command, carry, path);
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
          printItem(await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/${name}`), options, page),
        ),
      );
  }
}

/** Which version of the agent it runs. */
function addUpdates(command: Command, carry: Carry, path: string): void {
  command
    .command('update <id>')
    .description('have a node run a release, and wait until it does')
    .requiredOption('--to <version>', 'the release')
    .option('--urgent', 'also outside of the window of the host', false)
    .option('--no-wait', 'do not wait for it')
    .option(...json)
    .action((id, { to: version, urgent, wait, ...options }) =>
      carry(async (client) => {
        const node = await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/update`, { version, urgent });
        if (!wait) {
          printItem(node, options, page);
          return exitCodes.ok;
        }
        return await untilUpdated(client, node as unknown as Node, options);
      }),
    );
  command
    .command('set <id>')
    .description('say which rollouts reach a node, and whether they begin with it')
    .option('--channel <name>', 'it gets what this channel gets')
    .option('--canary', 'rollouts of its channel begin with it')
    .option('--no-canary', 'they do not')
    .option(...json)
    .action((id, { channel, canary, ...options }) =>
      carry(async (client) =>
        printItem(
          await client.change<Item>('PATCH', `${path}/${encodeURIComponent(id)}`, given({ channel, canary })),
          options,
          page,
        ),
      ),
    );
}

const page = (item: Item) => describeNode(item as unknown as Node, Date.now());
