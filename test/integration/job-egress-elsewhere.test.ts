/**
 * Jobs with a list of addresses elsewhere than on the usual engine: under gVisor, whose calls for sockets reach the kernel, and on an engine of a
 * newer generation (26.1). What the list names is reached, and nothing else.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { newerEngineEnv } from '../../bootstrap/dev/newer-engine.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import { openOutside } from '../support/egress-ground.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { openPool, ownPool } from '../support/open-pool.ts';
import { openTestHost } from '../support/test-host.ts';
import { ownRange } from './gate-ground.ts';

interface Where {
  readonly name: string;
  readonly sandbox: 'runc' | 'gvisor';
  readonly engine: (dir: string) => Promise<PrivateEngine>;
}

const places: readonly Where[] = [
  {
    ...{ name: 'gVisor', sandbox: 'gvisor' },
    engine: async (dir) => await startPrivateEngine(dir, { flags: [await gvisorFlag(dir)] }),
  },
  {
    ...{ name: 'a newer engine', sandbox: 'runc' },
    engine: async (dir) => await startPrivateEngine(dir, { env: await newerEngineEnv() }),
  },
];

it.each(places)(
  'reaches what its list names, and nothing else: $name (M-36, M-37)',
  async ({ sandbox, engine: start }) => {
    const dir = mkdtempSync(join(tmpdir(), 'gpe-'));
    await using closing = new AsyncDisposableStack();
    closing.defer(() => rmSync(dir, { recursive: true, force: true }));
    const outside = await openOutside(await ownRange());
    closing.defer(() => outside.close());
    const engine = await start(dir);
    closing.defer(() => engine.stop());
    const network_pool = ownPool();
    const egress = { allow: [`${outside.open}/32`], name_servers: [outside.open] };
    const sandboxes = { runc: 'runc', ...(sandbox === 'gvisor' && { gvisor: GVISOR_RUNTIME }) };
    const host = await openTestHost({ engineSocket: engine.socketPath, policy: { sandboxes, network_pool, egress } });
    closing.defer(() => host.close());
    closing.defer(await openPool(network_pool));
    const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
    const { reference } = await ensureImage({ socketPath: engine.socketPath, host: host.registryHost }, 'tiny');
    const script = [
      'uname -r',
      'wget -qO- http://open.example/ && echo',
      'wget -qO- http://closed.example/ || echo refused',
      `env -u http_proxy wget -T 3 -qO- http://${outside.closed}/ || echo direct`,
      `env -u http_proxy wget -T 3 -qO- http://${outside.open}/ || echo direct`,
      'nslookup x.tunnel.example >/dev/null 2>&1 || echo unknown',
    ].join('\n');
    const { output, failure } = await host.run('workload.job_launch', {
      ...planOf({
        identity: { ...planOf().identity, job_id: 'egress-elsewhere', allocation_id: host.policy.allocation.id },
        images: [{ id: 'main', source: { kind: 'registry', reference, media_type } }],
        steps: [
          step('one', {
            command: words('/bin/sh', '-c', script),
            resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.25 },
            results: [{ name: 'said', regex: '^(.+)$', channels: ['stdout'] }],
          }),
        ],
        ...{ sandbox, network: 'allow_list' },
        egress: { rules: [{ scheme: 'http', host: 'open.example', port: 80 }], any_public: [] },
      }),
    });

    expect(failure).toBeNull();
    const [kernel, ...said] = (output as JobTaskOutput).report?.steps[0]?.results['said'] ?? [];
    expect(kernel === '4.4.0').toBe(sandbox === 'gvisor');
    expect(said).toEqual(['allowed', 'refused', 'direct', 'direct', 'unknown']);
    expect([...outside.came.keys()].filter((place) => place.startsWith(outside.closed))).toEqual([]);
    expect(outside.asked.filter((name) => name.includes('tunnel'))).toEqual([]);
  },
);
