/** The agent as the one executable file of a release, beside the bundle that is in it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeAgent } from '../bootstrap/dev/build.ts';
import { buildBinary } from '../bootstrap/dev/sea.ts';
import { agentVersion } from '../src/cli/agent-version.ts';
import type { Wire } from '../test/support/wire-ground.ts';
import { daemonCost } from './daemon.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 15;

/** Made in `folder`, for the processor of this machine. */
export async function binaryCost(wire: Wire, folder: string): Promise<Measurement[]> {
  const binary = join(folder, 'node-agent');
  const { file: bundle } = await writeAgent(folder, { version: agentVersion, commit: '0'.repeat(40) });
  await buildBinary(bundle, process.arch === 'arm64' ? 'arm64' : 'x64', binary);
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    theirs.push(await timed(async () => execFileSync(process.execPath, [bundle, 'version'])));
    ours.push(await timed(async () => execFileSync(binary, ['version'])));
  }
  const [packed, node] = [binary, process.execPath].map((file) => gzipSync(readFileSync(file)).length / 1e6);
  return [
    {
      name: 'binary: `version`',
      unit: 'ms',
      ours: median(ours),
      theirs: median(theirs),
      against: 'the bundle in Node',
    },
    {
      ...{ name: 'binary: compressed', unit: 'MB', ours: packed ?? 0, theirs: node ?? 0, against: 'Node itself' },
      ...{ target: 'at most 50 MB', met: (packed ?? 0) <= 50 },
    },
    ...(await daemonCost(wire, binary)).map((each) => ({ ...each, name: `binary: ${each.name}` })),
  ];
}
