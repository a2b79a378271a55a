/** Checks of the engine behind the gate. All of them share one question to it. */
import { join } from 'node:path';
import { AgentError, failures } from '../../contract/failures.ts';
import type { RuntimeProgram } from '../gvisor-program.ts';
import { cgroupControllers, judgeCgroups } from './cgroup-check.ts';
import { type Check, check, type Finding, fail, ok, skipped, warn } from './check.ts';
import { exists } from './if-there.ts';

/** What the engine says about itself. */
export interface EngineReport {
  readonly version: string;
  readonly apiVersion: string;
  readonly runtimes: readonly string[];
  /** What the engine runs for each of them that is a program, and with which arguments. */
  readonly runtimePrograms: ReadonlyMap<string, RuntimeProgram>;
  readonly storageDriver: string;
  readonly cgroupDriver: string;
  readonly cgroupVersion: string;
  readonly rootDir: string;
  /** Runtime of a container that names none. */
  readonly defaultRuntime: string;
  /** Limits that the engine can really enforce. */
  readonly limits: { readonly memory: boolean; readonly cpu: boolean; readonly pids: boolean };
  /** Where the engine reads CDI specs; empty where it knows none. */
  readonly cdiFolders: readonly string[];
  /** True if containers live on while the engine restarts. */
  readonly liveRestore: boolean;
}

export type AskEngine = (signal: AbortSignal) => Promise<EngineReport>;

export interface EngineChecks {
  readonly askEngine: AskEngine;
  /** Runtime of the engine for each sandbox name of host policy. */
  readonly sandboxes: Readonly<Record<string, string>>;
  readonly root: string;
  /** True if the firewall of the pool keeps neighbours out, whatever the engine does. */
  readonly hasFirewall: () => Promise<boolean>;
}

export function engineChecks({ askEngine, sandboxes, root, hasFirewall }: EngineChecks): Check[] {
  const whenItAnswers = (judge: (report: EngineReport) => Finding | Promise<Finding>) => withEngine(askEngine, judge);
  return [
    check('engine.reachable', 'Nothing can be launched while the gate or the engine behind it is away.', (signal) =>
      judgeReach(askEngine, signal),
    ),
    check(
      'engine.version',
      'Limits need 20.10; before 28, neighbours on the same network segment could reach ports published on 127.0.0.1 (moby #49325).',
      whenItAnswers(async (report) => judgeVersion(report, await hasFirewall())),
    ),
    check(
      'engine.limits',
      'Without the memory, cpu and pids controllers one workload can take the host from all others.',
      whenItAnswers(judgeLimits),
    ),
    check(
      'engine.cgroups',
      'Limits are written into cgroups: whoever else writes there undoes them.',
      whenItAnswers(async (report) => judgeCgroups(report, await cgroupControllers(root), await hasSystemd(root))),
    ),
    check(
      'engine.storage',
      'Other drivers copy whole layers, or are no longer maintained.',
      whenItAnswers(judgeStorage),
    ),
    check(
      'engine.sandboxes',
      'A launch never falls back from the sandbox that it asks for to a weaker one.',
      whenItAnswers((report) => judgeSandboxes(report, sandboxes)),
    ),
    check('engine.live_restore', 'Workloads should outlive a restart of the engine.', whenItAnswers(judgeLiveRestore)),
  ];
}

async function judgeReach(askEngine: AskEngine, signal: AbortSignal): Promise<Finding> {
  try {
    const { version, apiVersion } = await askEngine(signal);
    return ok(`Engine ${version} answers through the gate (API ${apiVersion}).`);
  } catch (error) {
    if (error instanceof AgentError) {
      return fail(error.message, nextStep(error));
    }
    throw error;
  }
}

function nextStep({ code, detail }: AgentError): string {
  if (code === 'engine.timed_out') {
    return 'The engine hangs: read its journal, look at disk load, and restart it if it does not recover.';
  }
  if (code === 'engine.unsupported') {
    return failures[code].hint;
  }
  return detail['state'] === 'no_permission'
    ? 'Run the gate as root, and this command as root or as the user of the agent.'
    : 'Start the engine and then the gate: systemctl start docker gpuaas-node-agent-gate';
}

/** Skips a check while the engine is away: `engine.reachable` has the reason. */
export function withEngine(askEngine: AskEngine, judge: (report: EngineReport) => Finding | Promise<Finding>) {
  return async (signal: AbortSignal): Promise<Finding> => {
    let report: EngineReport;
    try {
      report = await askEngine(signal);
    } catch (error) {
      if (error instanceof AgentError) {
        return skipped('Cannot be told while the engine does not answer.');
      }
      throw error;
    }
    return await judge(report);
  };
}

function judgeVersion({ version }: EngineReport, isWalled: boolean): Finding {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  if (Number.isNaN(major) || Number.isNaN(minor)) {
    return warn(`The engine names its version ${JSON.stringify(version)}.`, 'Use a released engine, 28 or newer.');
  }
  if (major < 20 || (major === 20 && minor < 10)) {
    return fail(`The engine is ${version}.`, 'Install an engine of version 20.10 or newer, best 28 or newer.');
  }
  if (major < 28 && isWalled) {
    return ok(`The engine is ${version}; the firewall of the pool keeps neighbours out.`);
  }
  return major < 28
    ? warn(
        `The engine is ${version}.`,
        'Update the engine to 28 or newer, or run the bootstrap script, whose firewall keeps neighbours out.',
      )
    : ok(`The engine is ${version}.`);
}

function judgeLimits({ limits, cgroupVersion }: EngineReport): Finding {
  const missing = Object.entries(limits).flatMap(([name, there]) => (there ? [] : [name]));
  return missing.length === 0
    ? ok(`The limits memory, cpu and pids are enforced (cgroup version ${cgroupVersion}).`)
    : fail(
        `No limit for ${missing.join(', ')} can be enforced (cgroup version ${cgroupVersion}).`,
        `Enable the cgroup controllers ${missing.join(', ')} (kernel command line \`cgroup_enable=memory\`) and reboot.`,
      );
}

const goodStorage = new Set(['overlay2', 'overlayfs', 'overlay', 'btrfs', 'zfs']);

function judgeStorage({ storageDriver }: EngineReport): Finding {
  return goodStorage.has(storageDriver)
    ? ok(`The storage driver is ${storageDriver}.`)
    : warn(
        `The storage driver is ${storageDriver}.`,
        'Use overlay2 on a file system that supports it (ext4, or xfs with ftype=1).',
      );
}

function judgeSandboxes({ runtimes }: EngineReport, sandboxes: Readonly<Record<string, string>>): Finding {
  const missing = Object.entries(sandboxes).filter(([, runtime]) => !runtimes.includes(runtime));
  const named = (entries: [string, string][]) => entries.map(([name, runtime]) => `${name} (${runtime})`).join(', ');
  if (Object.keys(sandboxes).length === 0) {
    return fail('Host policy names no sandbox.', 'Add `{"runc": "runc"}` to `sandboxes` in the configuration.');
  }
  return missing.length === 0
    ? ok(`The engine has the runtime of each sandbox: ${named(Object.entries(sandboxes))}.`)
    : fail(
        `The engine lacks the runtime of ${named(missing)}; it knows ${runtimes.join(', ')}.`,
        "Install the runtime and name it in the engine's `runtimes`, or take the sandbox out of the configuration.",
      );
}

function judgeLiveRestore({ liveRestore }: EngineReport): Finding {
  return liveRestore
    ? ok('Containers live on while the engine restarts.')
    : warn(
        'A restart of the engine stops every workload.',
        'Set `"live-restore": true` in /etc/docker/daemon.json and reload the engine.',
      );
}

async function hasSystemd(root: string): Promise<boolean> {
  return await exists(join(root, 'run/systemd/system'));
}
