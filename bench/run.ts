/**
 * `npm run bench`: what agent, gate and control plane cost on top of the engine, measured in one run on one machine.
 *
 * Everything is a pair: the same work with and without us, taken in turns so that a noisy machine is noisy for both.
 * Prints a table and writes bench/results.json. Bounded: some hundred small calls and some dozen containers and processes,
 * all of them removed. With names of topics as arguments only these are measured, and nothing is written.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildAgent } from '../bootstrap/dev/build.ts';
import { ensureGround } from '../bootstrap/dev/ground.ts';
import { type EngineFront, startEngineFront } from '../test/support/engine-front.ts';
import { openTestHost, type TestHost } from '../test/support/test-host.ts';
import { openWire } from '../test/support/wire-ground.ts';
import { binaryCost } from './binary.ts';
import { commandsCost } from './commands.ts';
import { composeCost } from './compose.ts';
import { consoleCost } from './console.ts';
import { daemonCost } from './daemon.ts';
import { dispatchCost } from './dispatch.ts';
import { egressCost } from './egress.ts';
import { gateCost, inspectCost } from './gate.ts';
import { jobCost } from './job.ts';
import { judgingCost } from './judging.ts';
import { launchCost } from './launch.ts';
import { logReadBack } from './logs.ts';
import type { Measurement } from './measurement.ts';
import { preparedCost } from './prepared.ts';
import { requestCost } from './request.ts';
import { samplingCost } from './sampling.ts';
import { sandboxCost } from './sandbox.ts';
import { uploadCost } from './upload.ts';

const chosen = process.argv.slice(2);
const wants = (...topics: string[]) => chosen.length === 0 || topics.some((topic) => chosen.includes(topic));

const loadBefore = loadavg()[0];
const { engine, images } = await ensureGround(['tiny', 'web', 'python']);
const folder = mkdtempSync(join(tmpdir(), 'gpuaas-bench-'));
const measurements: Measurement[] = [];
try {
  if (wants('gate', 'launch', 'compose', 'logs', 'sampling')) {
    await measureTasks();
  }
  if (wants('dispatch')) {
    measurements.push(...(await dispatchCost(join(folder, 'dispatch'))));
  }
  if (wants('judging')) {
    measurements.push(await judgingCost());
  }
  if (wants('commands')) {
    measurements.push(...(await commandsCost()));
  }
  if (wants('console')) {
    measurements.push(...(await consoleCost()));
  }
  if (wants('sandbox')) {
    measurements.push(...(await sandboxCost(images.python?.reference ?? '')));
  }
  if (wants('egress')) {
    measurements.push(...(await egressCost(images.python?.reference ?? '')));
  }
  if (wants('request', 'job', 'daemon', 'binary')) {
    await measureWire();
  }
  if (wants('prepared')) {
    measurements.push(...(await preparedCost(await buildAgent(join(folder, 'prepared')))));
  }
  if (wants('upload')) {
    measurements.push(...(await uploadCost(await buildAgent(join(folder, 'upload')))));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report();

async function measureTasks(): Promise<void> {
  const host: TestHost = await openTestHost({ policy: { network_pool: '10.222.0.0/20' } });
  try {
    const image = await host.image('tiny');
    if (wants('gate')) {
      measurements.push(await gateCost(host), await inspectCost(host, image));
    }
    if (wants('launch')) {
      measurements.push(...(await launchCost(host, image)));
    }
    if (wants('compose')) {
      measurements.push(await composeCost(host, image));
    }
    if (wants('logs')) {
      measurements.push(await logReadBack(host, image));
    }
    if (wants('sampling')) {
      measurements.push(await samplingCost(host));
    }
  } finally {
    await host.close();
  }
}

async function measureWire(): Promise<void> {
  const program = await buildAgent(join(folder, 'dist'));
  const fronts: EngineFront[] = [];
  const front = async (engineSocket: string, at: string) => {
    const opened = await startEngineFront(join(at, 'engine.sock'), engineSocket);
    fronts.push(opened);
    return opened.socketPath;
  };
  const wire = await openWire({ program, ...(wants('request') && { before: front }) });
  try {
    const [opened] = fronts;
    if (opened) {
      const { socketPath: engineSocket } = engine;
      const image = images.tiny?.reference ?? '';
      measurements.push(...(await requestCost(wire, opened, { image, engineSocket })));
    }
    if (wants('job')) {
      const { socketPath: engineSocket } = engine;
      measurements.push(...(await jobCost(wire, { image: images.tiny?.reference ?? '', engineSocket })));
    }
    if (wants('daemon')) {
      measurements.push(...(await daemonCost(wire, program)));
    }
    if (wants('binary')) {
      measurements.push(...(await binaryCost(wire, join(folder, 'binary'))));
    }
  } finally {
    await wire.close();
    await Promise.all(fronts.map((front) => front.close()));
  }
}

function report(): void {
  const rows = measurements.map(({ name, unit, ours, theirs, against, target, met }) => ({
    measured: name,
    against,
    unit,
    ours: ours.toFixed(2),
    theirs: theirs.toFixed(2),
    difference: `${ours >= theirs ? '+' : ''}${(ours - theirs).toFixed(2)}`,
    ratio: theirs > 0 ? (ours / theirs).toFixed(2) : '',
    target: target === undefined ? '' : `${target}${met ? ' met' : ' MISSED'}`,
  }));
  console.table(rows);
  const [before = 0, after = 0] = [loadBefore, loadavg()[0]].map((value) => Number((value ?? 0).toFixed(1)));
  console.log(`Load of the machine: ${before} before, ${after} after.`);
  if (chosen.length > 0) return;
  const file = join(import.meta.dirname, 'results.json');
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.versions.node };
  const result = { taken_at: new Date().toISOString(), machine, load: { before, after }, measurements };
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
}
