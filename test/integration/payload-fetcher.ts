/**
 * Downloads an image in a process of its own, which a test may kill: `node payload-fetcher.ts DIR HASH URL…`. Each line that it writes is
 * JSON: progress, and at the end where the image is.
 */
import { HostInputs } from '../../src/jobs/inputs/host-inputs.ts';
import { createLog } from '../../src/kit/log.ts';

const [, , dir = '', hash = '', ...urls] = process.argv;
const inputs = new HostInputs({
  log: createLog(),
  policy: {
    inputs: { dir, max_gib: 1, max_age_hours: 1, allow: ['127.0.0.0/8'], endpoints: {} },
    reserves: { cpu_cores: 0, memory_gib: 0, disk_gib: 0 },
    network_pool: '10.213.0.0/20',
  },
});
const tell = (value: object) => void process.stdout.write(`${JSON.stringify(value)}\n`);
const { signal } = new AbortController();
await inputs.withPayload({ hash, urls, maxBytes: 2 ** 30 }, { signal, onProgress: tell }, async (file) =>
  tell({ file }),
);
inputs.close();
