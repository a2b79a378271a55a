/** `gpuaas apps manifest` and `gpuaas apps versions`: manifests of apps, from draft to withdrawn. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { AgentError } from '../../contract/failures.ts';
import { printLine } from '../output.ts';
import type { Carry } from './carry.ts';
import { json } from './options.ts';
import { type Item, printItem } from './things.ts';

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
  const versions = apps.command('versions').description('add, publish and withdraw versions of an app');
  versions
    .command('add <app@version> <file>')
    .description('add a version as a draft; all that is wrong with its manifest (YAML or JSON) is told at once')
    .option(...json)
    .action((name, file, options) =>
      carry(async (client) => {
        const { collection, version } = partsOf(name);
        const {
          manifest: _manifest,
          source: _source,
          ...added
        } = await client.change<Item>('POST', collection, {
          ...{ version, source: await manifestText(file) },
        });
        printItem(added, options);
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
        carry(async (client) => {
          const {
            manifest: _manifest,
            source: _source,
            ...moved
          } = await client.change<Item>('POST', `${pathOf(name)}/${action}`);
          printItem(moved, options);
        }),
      );
  }
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
