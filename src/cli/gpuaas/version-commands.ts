/** `gpuaas apps manifest` and `gpuaas apps versions`: manifests of apps, from draft to withdrawn. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { AgentError } from '../../contract/failures.ts';
import { channels } from '../../server/db/entities/artifact.ts';
import { printLine } from '../output.ts';
import type { Carry } from './carry.ts';
import { given, json } from './options.ts';
import { type Item, printItem } from './things.ts';

/** Of a version that changed, what is not its manifest. */
function printVersion({ manifest: _manifest, source: _source, ...version }: Item, options: { json: boolean }): void {
  printItem(version, options);
}

export function addVersionCommands(apps: Command, carry: Carry): void {
  apps
    .command('manifest <app@version>')
    .description('print the manifest of a version, byte for byte')
    .action((name) =>
      carry(async (client) => {
        const never = new AbortController().signal;
        printLine((await text(await client.open(`${pathOf(name)}/manifest`, {}, {}, never))).trimEnd());
      }),
    );
  const versions = apps.command('versions').description('add, publish, lock and withdraw versions of an app');
  versions
    .command('add <app@version> <file>')
    .description('add a version as a draft; all that is wrong with its manifest (YAML or JSON) is told at once')
    .option(...json)
    .action((name, file, options) =>
      carry(async (client) => {
        const { collection, version } = partsOf(name);
        const body = { version, source: await manifestText(file) };
        printVersion(await client.change<Item>('POST', collection, body), options);
      }),
    );
  for (const [action, description] of [
    ['publish', 'publish a draft; from then on its manifest is what it is'],
    ['withdraw', 'take a version out of the catalog; what runs goes on'],
  ] as const) {
    versions
      .command(`${action} <app@version>`)
      .description(description)
      .option(...json)
      .action((name, options) =>
        carry(async (client) => printVersion(await client.change<Item>('POST', `${pathOf(name)}/${action}`), options)),
      );
  }
  versions
    .command('lock <app@version>')
    .description('launch a version from the images of its release only, until it is locked to others')
    .addOption(
      new Option('--channel <name>', 'to what was last promoted there').choices([...channels]).conflicts('artifact'),
    )
    .option(
      '--artifact <name=id>',
      'to this artifact, under the name that the manifest uses; can be given again',
      collect,
    )
    .option(...json)
    .action((name, { channel, artifact, ...options }) =>
      carry(async (client) => {
        if (channel === undefined && artifact === undefined) {
          throw new AgentError('command.invalid', {
            reason: 'What to lock to: --channel NAME, or --artifact NAME=ID.',
          });
        }
        const body = given({ channel, artifacts: artifact });
        printVersion(await client.change<Item>('POST', `${pathOf(name)}/lock`, body), options);
      }),
    );
  versions
    .command('unlock <app@version>')
    .description('launch a version from whatever image fits')
    .option(...json)
    .action((name, options) =>
      carry(async (client) => printVersion(await client.change<Item>('DELETE', `${pathOf(name)}/lock`), options)),
    );
}

function collect(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const [, name, id] = /^([a-z0-9][a-z0-9._-]*)=(.+)$/.exec(text) ?? [];
  if (name === undefined || id === undefined) throw new InvalidArgumentError('It must be NAME=ID.');
  return { ...before, [name]: id };
}

function pathOf(name: string): string {
  const { collection, version } = partsOf(name);
  return `${collection}/${encodeURIComponent(version)}`;
}

function partsOf(name: string): { collection: string; version: string } {
  const [, slug, version] = /^([^@]+)@([^@]+)$/.exec(name) ?? [];
  if (slug === undefined || version === undefined) {
    throw new AgentError('command.invalid', { reason: `${JSON.stringify(name)} must be APP@VERSION.` });
  }
  return { collection: `/api/v1/catalog/apps/${encodeURIComponent(slug)}/versions`, version };
}

export async function manifestText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new AgentError('file.unusable', { reason: `${file} cannot be read (${code}).`, file }, { cause: error });
  }
}
