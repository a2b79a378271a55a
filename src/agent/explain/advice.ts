/** The last line of an explanation: what to do next, with the facts of this very case. */
import type { Failure, FailureCode } from '../../contract/failures.ts';

type Detail = Failure['detail'];
type Advice = (detail: Detail, about: About) => string | undefined;

export interface About {
  readonly instance: string;
  /** Memory that the workload was given, where known. */
  readonly memoryGib: number | null;
}

export function adviceFor(failure: Failure, about: About): string {
  return advices[failure.code]?.(failure.detail, about) ?? failure.hint;
}

const logOf = ({ instance }: About, detail: Detail = {}) => {
  const service = text(detail['service']);
  return `\`node-agent logs ${instance}${service === undefined ? '' : ` --service ${service}`}\``;
};
const text = (value: unknown) => (typeof value === 'string' || typeof value === 'number' ? String(value) : undefined);

const advices: { readonly [Code in FailureCode]?: Advice } = {
  'container.oom_killed': (_detail, { memoryGib }) =>
    memoryGib === null
      ? undefined
      : `Launch it with more than ${round(memoryGib)} GiB of memory, ${round(memoryGib * 2)} to begin with, or make it use less.`,
  'container.exited': (detail, about) => {
    const code = detail['exit_code'];
    if (code === 127 || code === 126) {
      return 'Correct `command` or `entrypoint` of the launch: what they name is not in the image or cannot be executed.';
    }
    if (code === 0) {
      return 'Give it a command that keeps running: this one did its work and ended, and a workload must not.';
    }
    const seen = text(detail['excerpt'])?.trim() ? 'the last lines of its log are above, ' : '';
    return `Find the error in its own output (${seen}more of it is ${logOf(about, detail)}), correct it and launch it again.`;
  },
  'port.conflict': (detail) => {
    const port = text(detail['port']);
    return port === undefined
      ? undefined
      : `Find who has port ${port} (\`ss -ltnp 'sport = :${port}'\`) and stop it, or launch with another host_port.`;
  },
  'readiness.timed_out': (detail, about) =>
    `Look at ${logOf(about)} for why it does not answer${text(detail['endpoint']) ? ` on ${text(detail['endpoint'])}` : ''}; if it is only slow, launch it with a larger readiness timeout_seconds.`,
  'packages.failed': (detail) => {
    const excerpt = text(detail['excerpt']) ?? '';
    // An installer that reaches no index says in the end that there is no such package, too.
    if (/Failed to establish|Temporary failure|Connection refused|timed out/.test(excerpt)) {
      return 'Make the package index reachable from the container (network, PIP_INDEX_URL of the profile), then launch it again.';
    }
    const missing = /No matching distribution found for (\S+)/.exec(excerpt)?.[1];
    const conflict = /ResolutionImpossible|conflicting dependencies/.test(excerpt);
    if (missing !== undefined) {
      return `Correct \`${missing}\` in python_packages: the package index has no such package or version. Then launch it again.`;
    }
    return conflict
      ? 'Choose versions in python_packages that fit together; the installer says above which do not. Then launch it again.'
      : undefined;
  },
  'gpu.unhealthy': (detail, { instance }) => {
    const cards = Array.isArray(detail['gpus']) ? detail['gpus'].map(String).join(', ') : undefined;
    return cards === undefined
      ? undefined
      : `Look at \`node-agent gpus\` for what ${cards} needs. ${instance} is left running; restart it where it has lost its card, or launch it again to have another one.`;
  },
  'image.not_found': (detail) =>
    `Check that ${text(detail['image']) ?? 'the image'} is still in its registry; publish it again or launch another version.`,
  'disk.full': (detail) => {
    const folder = text(detail['folder']) ?? text(detail['path']);
    const where = folder ? ` (\`df -h ${folder}\`)` : '';
    return `Free space on the engine's disk${where}: \`docker image prune -a\` takes away images that nothing uses. Then launch it again.`;
  },
  'task.stale': (detail) => {
    const seen = text(detail['seen']);
    return seen === undefined
      ? undefined
      : `Nothing, if the newer task (fencing ${seen}) is what you want. Else issue this one again; it will get a higher number.`;
  },
  'task.cancelled': (_detail, { instance }) =>
    `Nothing: somebody asked for it. Launch ${instance} again when it is wanted.`,
  'engine.unavailable': () =>
    'Start the engine and the gate (`systemctl status docker gpuaas-node-agent-gate`), then run `node-agent doctor`. The agent goes on by itself.',
  'engine.timed_out': () =>
    'The engine hangs: look at `journalctl -u docker -n 100` and the load of the disk. The agent goes on by itself once it answers.',
  'mount.refused': (detail) => {
    const path = text(detail['path']) ?? text(detail['mount']);
    return path === undefined
      ? undefined
      : `Look at ${path} (\`ls -ld\` on each folder of it): it must be a plain folder of the allocation's user, no link. Then launch it again.`;
  },
  'task.timed_out': (detail) =>
    `Find out why ${String(detail['phase'] ?? 'it').replaceAll('_', ' ')} took so long (the durations are above), or allow more deadline_seconds.`,
};

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
