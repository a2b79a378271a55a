/** Checks of what a host with NVIDIA cards needs beside the driver: toolkit, persistence, and a fabric where cards are switched. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../run-program.ts';
import { type Check, check, type Finding, fail, isAtLeast, ok, skipped, warn } from './check.ts';
import { ifAbsent, readIfThere } from './if-there.ts';

export interface NvidiaChecks {
  readonly root: string;
  readonly findProgram: (name: string) => Promise<string | null>;
  /** True if a driver of NVIDIA's reports a card. */
  readonly hasCards: (signal: AbortSignal) => Promise<boolean>;
}

/** The first toolkit without CVE-2025-23266, by which an image became root of its host. */
export const toolkitFloor = '1.17.8';

export function nvidiaChecks(input: NvidiaChecks): Check[] {
  const onCards = (look: (signal: AbortSignal) => Promise<Finding>) => async (signal: AbortSignal) =>
    (await input.hasCards(signal)) ? await look(signal) : skipped('The driver reports no NVIDIA card.');
  return [
    check(
      'gpu.toolkit',
      `Before ${toolkitFloor} an image could become root of its host by it (CVE-2025-23266).`,
      onCards((signal) => judgeToolkit(input, signal)),
    ),
    check(
      'gpu.persistence',
      'A driver that unloads itself makes each first use of a card take seconds.',
      onCards((signal) => judgePersistence(input, signal)),
    ),
    check(
      'gpu.fabric_manager',
      'Where cards are linked by NVSwitches, nothing can use one before the fabric stands (CUDA error 802).',
      (signal) => judgeFabric(input, signal),
    ),
  ];
}

/** What a program prints; undefined where it is not there, fails or does not end. */
async function say({ findProgram }: NvidiaChecks, name: string, args: readonly string[], signal: AbortSignal) {
  const file = await findProgram(name);
  const asked = file === null ? undefined : await runProgram(file, args, { timeoutMs: 10_000, signal });
  return asked?.outcome === 'exited' ? asked.stdout.trim() : undefined;
}

async function judgeToolkit(input: NvidiaChecks, signal: AbortSignal): Promise<Finding> {
  const said = await say(input, 'nvidia-ctk', ['--version'], signal);
  const version = /version (\d[\w.+~-]*)/.exec(said ?? '')?.[1];
  if (version === undefined) {
    return warn(
      'There is no nvidia-ctk that tells its version.',
      `Install nvidia-container-toolkit ${toolkitFloor} or newer.`,
    );
  }
  return isAtLeast(version, toolkitFloor)
    ? ok(`The NVIDIA container toolkit is ${version}.`)
    : fail(
        `The NVIDIA container toolkit is ${version}.`,
        `Update nvidia-container-toolkit to ${toolkitFloor} or newer, and restart the engine when nothing runs.`,
      );
}

async function judgePersistence(input: NvidiaChecks, signal: AbortSignal): Promise<Finding> {
  const said = await say(input, 'nvidia-smi', ['--query-gpu=persistence_mode', '--format=csv,noheader'], signal);
  const modes = [...new Set((said ?? '').split('\n').map((line) => line.trim()))];
  if (modes.includes('Disabled')) {
    return warn('The driver unloads itself when nobody uses a card.', 'systemctl enable --now nvidia-persistenced');
  }
  return modes.length === 1 && modes[0] === 'Enabled'
    ? ok('The driver stays loaded.')
    : skipped('nvidia-smi does not tell the persistence mode.');
}

async function judgeFabric(input: NvidiaChecks, signal: AbortSignal): Promise<Finding> {
  const switches = await switchesOnBus(input.root);
  if (switches === 0) {
    return skipped('There is no NVSwitch on the bus.');
  }
  const state = await say(input, 'systemctl', ['is-active', 'nvidia-fabricmanager'], signal);
  if (state === undefined || state === '') {
    return skipped(`There are ${switches} NVSwitches, and no systemd that tells of the fabric manager.`);
  }
  return state === 'active'
    ? ok(`There are ${switches} NVSwitches, and the fabric manager runs.`)
    : fail(
        `There are ${switches} NVSwitches, and the fabric manager is ${state}.`,
        "Install the nvidia-fabricmanager of the driver's version, then: systemctl enable --now nvidia-fabricmanager",
      );
}

/** Bridges of NVIDIA that are no PCI bridges. */
async function switchesOnBus(root: string): Promise<number> {
  const folder = join(root, 'sys/bus/pci/devices');
  const devices = (await readdir(folder).catch(ifAbsent)) ?? [];
  const facts = await Promise.all(
    devices.map(async (device) => {
      const [vendor, kind] = await Promise.all(
        ['vendor', 'class'].map((name) => readIfThere(join(folder, device, name))),
      );
      return vendor?.trim() === '0x10de' && kind?.startsWith('0x0680') === true;
    }),
  );
  return facts.filter(Boolean).length;
}
