/** What the engine says about itself. */
import type { EngineFacts } from '../engine.ts';
import type { Calls } from './calls.ts';

interface InfoAnswer {
  readonly Runtimes?: Readonly<Record<string, { path?: string; runtimeArgs?: string[] | null }>> | null;
  readonly Driver?: string;
  readonly CgroupDriver?: string;
  readonly CgroupVersion?: string;
  readonly DockerRootDir?: string;
  readonly DefaultRuntime?: string;
  readonly MemoryLimit?: boolean;
  readonly CpuCfsQuota?: boolean;
  readonly PidsLimit?: boolean;
  readonly LiveRestoreEnabled?: boolean;
  readonly CDISpecDirs?: readonly string[] | null;
}

export async function readFacts(calls: Calls, signal: AbortSignal): Promise<EngineFacts> {
  const options = { call: 'facts', timeoutMs: calls.timeouts.lookMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    // Not dockerode's: its `info` and `version` take no signal in their types.
    const [info, version] = await Promise.all([
      calls.transport.json({ method: 'GET', path: '/info', signal: abort }) as Promise<InfoAnswer>,
      calls.transport.json({ method: 'GET', path: '/version', signal: abort }) as Promise<Record<string, string>>,
    ]);
    return {
      version: version['Version'] ?? '',
      apiVersion: version['ApiVersion'] ?? '',
      runtimes: Object.keys(info.Runtimes ?? {}),
      runtimePrograms: programsOf(info.Runtimes ?? {}),
      storageDriver: info.Driver ?? '',
      cgroupDriver: info.CgroupDriver ?? '',
      cgroupVersion: info.CgroupVersion ?? '1',
      rootDir: info.DockerRootDir ?? '',
      defaultRuntime: info.DefaultRuntime ?? '',
      limits: {
        memory: info.MemoryLimit === true,
        cpu: info.CpuCfsQuota === true,
        pids: info.PidsLimit === true,
      },
      liveRestore: info.LiveRestoreEnabled === true,
      cdiFolders: knowsCdi(version['ApiVersion']) ? (info.CDISpecDirs ?? []) : [],
    };
  });
}

/** One that a shim of containerd stands for has no program that is known. */
function programsOf(runtimes: NonNullable<InfoAnswer['Runtimes']>): EngineFacts['runtimePrograms'] {
  return new Map(
    Object.entries(runtimes).flatMap(([name, { path = '', runtimeArgs }]) =>
      path === '' ? [] : [[name, { path, args: runtimeArgs ?? [] }] as const],
    ),
  );
}

/** Engines before API 1.44 may name the folders without resolving a name. */
function knowsCdi(apiVersion = ''): boolean {
  const [major = 0, minor = 0] = apiVersion.split('.').map(Number);
  return major > 1 || (major === 1 && minor >= 44);
}
