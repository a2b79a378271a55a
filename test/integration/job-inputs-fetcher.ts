/**
 * Provides one input in a process of its own, which a test may kill: `node job-inputs-fetcher.ts DIR URL SHA256`. Each line that it writes
 * is JSON: progress with what the process holds, and at the end what was provided.
 */
import { HostInputs } from '../../src/jobs/inputs/host-inputs.ts';
import { createLog } from '../../src/kit/log.ts';
import { heldBytes } from '../support/held-memory.ts';

const [, , dir = '', url = '', sha256 = ''] = process.argv;
const inputs = new HostInputs({
  log: createLog(),
  policy: {
    inputs: { dir, max_gib: 1, max_age_hours: 1, allow: [new URL(url).host], endpoints: {} },
    reserves: { cpu_cores: 0, memory_gib: 0, disk_gib: 0 },
    network_pool: '10.213.0.0/20',
  },
});
const tell = (value: object) => void process.stdout.write(`${JSON.stringify(value)}\n`);

tell({ held: await heldBytes() });
const looks: Promise<void>[] = [];
const provided = await inputs.provide(
  'job-1',
  { id: 'data', volume: 'models', cache_seconds: 60, source: { kind: 'http', url, sha256 } },
  {
    signal: new AbortController().signal,
    onProgress: ({ bytes }) => looks.push(heldBytes().then((held) => tell({ bytes, held }))),
  },
);
await Promise.all(looks);
tell({ provided });
inputs.close();
