/** `bootstrap.sh` on a host, and what it did there. */
import { resolve } from 'node:path';
import type { RanOnHost, RunOnHost, SystemdHost } from './systemd-host.ts';

const script = resolve(import.meta.dirname, '../../bootstrap/bootstrap.sh');

export interface BootstrapRuns {
  run(args: readonly string[], options?: RunOnHost): Promise<RanOnHost>;
  /** What must not change where nothing is to be done: files with their times, starts of units, processes. */
  traces(): Promise<string>;
  /** How often systemd was told to read its units, which can take cards from containers (nvidia-container-toolkit #48). */
  reloads(): Promise<number>;
}

const units =
  'docker gpuaas-node-agent gpuaas-node-agent-gate gpuaas-node-agent-firewall gpuaas-node-agent-update.path';

export async function bootstrapRuns(host: SystemdHost): Promise<BootstrapRuns> {
  await host.copyIn(script, '/root/bootstrap.sh');
  return {
    run: async (args, options = {}) =>
      await host.run(['sh', '/root/bootstrap.sh', ...args], { timeout: 280, ...options }),
    traces: async () =>
      await host.sh(`
        find /etc /opt /usr/local /usr/share/keyrings -type f -o -type l | sort | xargs stat -c '%n %Y %Z %a %U' 2>/dev/null
        for unit in ${units}; do systemctl show -p Id,ActiveEnterTimestampMonotonic,MainPID,NRestarts "$unit"; done
        journalctl -q -o cat _PID=1 | grep -c Reloading || true`),
    reloads: async () => Number(await host.sh('journalctl -q -o cat _PID=1 | grep -c "^Reloading finished" || true')),
  };
}
