/** What `gpuaas completion` asks the control plane for: ids of what there is, by the name of the group that lists them. */
import type { Candidate, Kinds } from '../completion.ts';
import { connect } from './connection.ts';
import type { Item } from './things.ts';

/** Enough for a person to choose from, in one answer. */
const most = 200;

export const completions: Kinds = {
  allocations: known('allocations', (item) => (item['state'] === 'active' ? named(item, 'name') : undefined)),
  apps: known('catalog/apps', ({ slug, display_name }) => ({ value: String(slug), name: String(display_name) })),
  artifacts: known('artifacts', (item) => named(item, 'name')),
  credentials: known('access-credentials', (item) => named(item, 'name')),
  entitlements: known('entitlements', (item) => named(item, 'app_slug')),
  instances: known('app-instances', (item) =>
    item['state'] === 'decommissioned' ? undefined : named(item, 'display_name'),
  ),
  jobs: known('jobs', (item) => named(item, 'name')),
  nodes: known('nodes', (item) => named(item, 'name')),
  projects: known('projects', (item) => named(item, 'name')),
  releases: known('releases', ({ version, channel }) => ({ value: String(version), name: String(channel) })),
  rollouts: known('rollouts', (item) => named(item, 'version')),
  'service-accounts': known('service-accounts', (item) => named(item, 'name')),
  services: async (signal) => {
    const { items } = await itemsOf('app-instances', signal);
    const members = items.flatMap((item) => item['members'] as readonly { readonly name: string }[]);
    return [...new Set(members.map(({ name }) => name))].map((value) => ({ value }));
  },
  tokens: known('tokens', (item) => (item['revoked_at'] === null ? named(item, 'name') : undefined)),
};

function known(path: string, read: (item: Item) => Candidate | undefined): Kinds[string] {
  return async (signal) => {
    const { items } = await itemsOf(path, signal);
    return items.flatMap((item) => read(item) ?? []);
  };
}

async function itemsOf(path: string, signal: AbortSignal): Promise<{ readonly items: readonly Item[] }> {
  const query = path === 'catalog/apps' ? {} : { limit: most };
  // Whoever presses a key waits for it: where it is not answered at once, it is not.
  return await connect(process.env, { attempts: 1 }).get(`/api/v1/${path}`, query, signal);
}

function named(item: Item, name: string): Candidate {
  return { value: String(item['id']), name: String(item[name]) };
}
