/** Whether kernel, systemd and engine agree about cgroups, by which workloads are bounded. */
import { join } from 'node:path';
import { type Finding, fail, ok, skipped, warn } from './check.ts';
import { readIfThere } from './if-there.ts';

/** Cgroup controllers that the second version offers below its root; undefined where that one is not used. */
export async function cgroupControllers(root: string): Promise<readonly string[] | undefined> {
  return (await readIfThere(join(root, 'sys/fs/cgroup/cgroup.controllers')))?.trim().split(/\s+/);
}

/** What systemd and engine have to agree on. */
export function judgeCgroups(
  { cgroupDriver, cgroupVersion }: { readonly cgroupDriver: string; readonly cgroupVersion: string },
  controllers: readonly string[] | undefined,
  hasSystemd: boolean,
): Finding {
  const found = `The engine keeps cgroups of version ${cgroupVersion} by ${cgroupDriver}`;
  const missing = controllers ? ['cpu', 'memory', 'pids'].filter((name) => !controllers.includes(name)) : [];
  if (cgroupVersion === '2' && missing.length > 0) {
    return fail(
      `${found}, and the kernel offers no controller ${missing.join(', ')}.`,
      'Enable it on the kernel command line (`cgroup_enable=memory`) and reboot.',
    );
  }
  if (cgroupVersion === '2' && hasSystemd && cgroupDriver === 'cgroupfs') {
    return warn(
      `${found}, and systemd keeps the same tree: each undoes what the other has set.`,
      'Take `native.cgroupdriver=cgroupfs` out of `exec-opts` in /etc/docker/daemon.json and restart the engine.',
    );
  }
  return controllers === undefined && cgroupVersion === '2'
    ? skipped(`${found}; which controllers there are cannot be seen here.`)
    : ok(`${found}${controllers ? `, with ${controllers.join(', ')}` : ''}.`);
}
