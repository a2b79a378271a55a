/**
 * The doctor: everything about a host that can make launches fail or leak, each as one small named check.
 *
 * It looks and advises; it changes nothing. Checks run side by side and each has a deadline, so that one that hangs
 * does not hide the others.
 */

import { deviceNode } from './card-ways.ts';
import { probeCompose } from './compose.ts';
import type { Check } from './doctor/check.ts';
import { type AskEngine, engineChecks } from './doctor/engine-checks.ts';
import { gpuChecks } from './doctor/gpu-checks.ts';
import { homeCheck } from './doctor/home-check.ts';
import { machineChecks } from './doctor/machine-checks.ts';
import { networkCheck } from './doctor/network-check.ts';
import { runtimeChecks } from './doctor/runtime-checks.ts';
import { cardsOnBus, probeGpus } from './gpus.ts';
import { KernelLog } from './kernel-log.ts';
import { findProgram, searchFolders } from './programs.ts';
import { probeRuntimes, type RuntimeName } from './runtimes.ts';

/** The part of host policy that says something about the host. */
export interface DoctorPolicy {
  readonly allocation: { readonly uid: number; readonly home: string };
  readonly approved_engines: readonly RuntimeName[];
  readonly sandboxes: Readonly<Record<string, string>>;
  readonly reserves: { readonly cpu_cores: number; readonly memory_gib: number; readonly disk_gib: number };
  readonly network_pool: string;
  readonly secrets_dir: string;
}

export interface DoctorInput {
  readonly policy: DoctorPolicy;
  /** Where the agent keeps its state. */
  readonly stateDir: string;
  /** Asks the engine through the gate; fails with an AgentError that says what is wrong. */
  readonly askEngine: AskEngine;
  /** Where the Compose plugin is looked for; the folders of packages if left out. */
  readonly pluginFolders?: readonly string[];
  /** PATH of this process. */
  readonly path: string | undefined;
  /** `/`, or the folder that stands for it in a test. */
  readonly root?: string;
}

/** All checks of this host, in the order in which a person should read them. */
export function hostChecks({ policy, stateDir, askEngine, pluginFolders, path, root = '/' }: DoctorInput): Check[] {
  const ask = once(askEngine);
  const gpus = once((signal) => probeGpus({ path, root, signal }));
  return [
    ...engineChecks({ askEngine: ask, sandboxes: policy.sandboxes }),
    ...runtimeChecks({
      probeRuntimes: (signal) => probeRuntimes({ path, approved: policy.approved_engines, askEngine: ask, signal }),
      probeCompose: (signal) => probeCompose({ folders: pluginFolders, signal }),
    }),
    ...gpuChecks({
      ...{ askEngine: ask, probeGpus: gpus, cardsOnBus: (maker) => cardsOnBus(maker, root) },
      findProgram: (name) => findProgram(name, searchFolders(path)),
      groupOf: async (device) => (await deviceNode(device, root))?.group,
      canReadKernelLog,
    }),
    ...machineChecks({
      ...{ askEngine: ask, reserves: policy.reserves, stateDir, secretsDir: policy.secrets_dir, path, root },
    }),
    homeCheck(policy.allocation),
    networkCheck({ pool: policy.network_pool, root }),
  ];
}

/** One question for all checks that need its answer. The signal of the first one to ask ends it. */
function once<T>(question: (signal: AbortSignal) => Promise<T>): (signal: AbortSignal) => Promise<T> {
  let answer: Promise<T> | undefined;
  return (signal) => {
    answer ??= question(signal);
    return answer;
  };
}

function canReadKernelLog(): boolean {
  using log = KernelLog.open();
  return log !== undefined;
}
