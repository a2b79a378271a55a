/** `gpuaas releases`: what hosts can be given, and whether a folder of it is what its root vouches for. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { AgentError } from '../../contract/failures.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, table, tell } from '../output.ts';
import type { Carry } from '../run-program.ts';
import { withControlPlane } from './carry.ts';
import { group } from './group.ts';
import { json } from './options.ts';
import { type Column, field, type Item, itemText, printItem } from './things.ts';

const path = '/api/v1/releases';

export function addReleaseCommands(program: Command, carry: Carry): void {
  const asking = withControlPlane(carry);
  const columns: Column[] = [
    ['VERSION', field('version')],
    ['NUMBER', field('seq')],
    ['CHANNEL', field('channel')],
    ['STATE', (item) => (item['state'] === 'published' && !item['complete'] ? 'files missing' : item['state'])],
    ['EXPIRES', field('expires')],
    ['PUBLISHED', field('created_at')],
  ];
  const none = 'No releases yet: gpuaas releases publish DIR';
  const releases = group(program, asking, 'versions that hosts install', { name: 'releases', path, columns, none });
  releases
    .command('publish <folder>')
    .description('publish a release folder, after a look at each of its files; interrupted, it is given again')
    .option('--root <file>', 'PEM of the public release root, to look at the signatures before anything is sent')
    .option(...json)
    .action((folder: string, options) =>
      asking(async (client) => {
        const { publishRelease } = await import('./publish-release.ts');
        const root = options.root === undefined ? undefined : readRoot(options.root);
        const published = await publishRelease(client, resolve(folder), { root, json: options.json });
        printItem(published, options, releasePage);
        if (!options.json) tell(`Next: gpuaas rollouts start ${published['version']}`);
      }),
    );
  releases
    .command('describe <version>')
    .description('show one of them, with its files')
    .option(...json)
    .action((version: string, options) =>
      asking(async (client) =>
        printItem(await client.get<Item>(`${path}/${encodeURIComponent(version)}`), options, releasePage),
      ),
    );
  releases
    .command('withdraw <version>')
    .description('give it to nobody any more, and cancel its rollouts; hosts that run it go on')
    .requiredOption('--reason <text>', 'why, for whoever looks for it')
    .option(...json)
    .action((version: string, { reason, ...options }) =>
      asking(async (client) =>
        printItem(
          await client.change<Item>('POST', `${path}/${encodeURIComponent(version)}/withdraw`, { reason }),
          options,
          releasePage,
        ),
      ),
    );
  releases
    .command('verify <folder>')
    .description('look whether a release folder is what its root vouches for, file by file; needs no control plane')
    .requiredOption('--root <file>', 'PEM of the public release root')
    .option(...json)
    .action((folder: string, options) => carry(() => verify(resolve(folder), options)));
}

/** Its facts, and how much of each file is there. */
function releasePage({ files, ...facts }: Item): string {
  const rows = (files as readonly { name: string; kind: string; arch: string; size: number; received: number }[]).map(
    ({ name, kind, arch, size, received }) => [
      name,
      kind,
      arch,
      String(size),
      received === size ? 'here' : `${received}`,
    ],
  );
  return [itemText(facts), '', table([['FILE', 'KIND', 'FOR', 'BYTES', 'RECEIVED'], ...rows])].join('\n');
}

async function verify(folder: string, options: { readonly root: string; readonly json: boolean }): Promise<number> {
  const { verifyReleaseFolder } = await import('./release-folder.ts');
  const { releaseRootOf } = await import('../../policy/release-trust.ts');
  const { release, keysSeq } = await verifyReleaseFolder(folder, releaseRootOf(readRoot(options.root)));
  const { artifacts, ...about } = release;
  const expired = Date.parse(release.expires) <= Date.now();
  if (options.json) {
    printJson({ ...release, keys_seq: keysSeq, expired });
    return exitCodes.ok;
  }
  printLine(itemText({ ...about, keys_seq: keysSeq }));
  printLine(
    table([
      ['FILE', 'KIND', 'FOR', 'BYTES'],
      ...artifacts.map((each) => [each.name, each.kind, each.arch, String(each.size)]),
    ]),
  );
  tell(
    expired
      ? 'It is what its root vouches for, and has expired: no host begins to install it.'
      : 'It is what its root vouches for.',
  );
  return exitCodes.ok;
}

function readRoot(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new AgentError('file.unusable', { reason: `The release root cannot be read from ${file}.` }, { cause });
  }
}
