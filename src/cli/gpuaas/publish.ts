/**
 * `gpuaas apps publish FILE`: from a manifest to a version that can be launched, in one command.
 *
 * Safe to repeat: what is there already stays as it is, so a command that was interrupted is given again. A manifest that is
 * not valid changes nothing.
 */
import { AgentError } from '../../contract/failures.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { readProfileText } from '../../manifests/gpuaas/read-profile.ts';
import { tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { ControlPlaneClient } from './client.ts';
import { type Item, printItem } from './things.ts';
import { manifestText } from './version-commands.ts';

export interface PublishOptions {
  /** Name of the version. */
  readonly as: string;
  readonly category: string;
  /** Channel to lock the version to. */
  readonly lock?: string;
  readonly json: boolean;
}

const apps = '/api/v1/catalog/apps';

export async function publishApp(client: ControlPlaneClient, file: string, options: PublishOptions): Promise<void> {
  const source = await manifestText(file);
  const read = readProfileText(source);
  if (!read.ok) {
    const errors = read.errors.map(({ path, code, message }) => ({ path, code, message }));
    throw new AgentError('manifest.invalid', { file, errors });
  }
  const { slug } = read.profile.profile;
  const versions = `${apps}/${encodeURIComponent(slug)}/versions`;
  const version = `${versions}/${encodeURIComponent(options.as)}`;

  await ensureApp(client, read.profile, options);
  await client.change('POST', versions, { version: options.as, source });
  // Before anybody can launch it: a release that cannot be locked is not published.
  if (options.lock !== undefined) await client.change('POST', `${version}/lock`, { channel: options.lock });
  await client.change('POST', `${version}/publish`);

  const { manifest: _manifest, ...published } = await client.get<Item>(version);
  printItem(published, options);
  if (!options.json) await sayNext(client, slug, published);
}

async function ensureApp(
  client: ControlPlaneClient,
  { profile: { slug, display_name, description } }: WorkloadProfile,
  { category, json }: PublishOptions,
): Promise<void> {
  try {
    await client.get(`${apps}/${encodeURIComponent(slug)}`);
    return;
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'resource.not_found') throw error;
  }
  const summary = description.length > 500 ? `${description.slice(0, 499)}…` : description;
  await client.change('POST', apps, { slug, display_name, summary, category });
  if (!json) tell(`The app ${slug} is new; its card shows name and description of this manifest.`);
}

/** What still stands between the version and a launch. */
async function sayNext(client: ControlPlaneClient, slug: string, { reasons }: Item): Promise<void> {
  for (const reason of reasons as readonly string[]) tell(`Not to be launched yet: ${oneLine(reason)}`);
  const { items } = await client.get<{ items: unknown[] }>('/api/v1/entitlements', { app_slug: slug, limit: 1 });
  if (items.length === 0) {
    tell(`No project may launch it yet: gpuaas apps entitlements grant ${slug} --every-project`);
  }
}
