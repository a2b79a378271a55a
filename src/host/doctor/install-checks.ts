/** Checks of what the bootstrap has left on the host: units, guard, firewall, and how updates went. */
import { readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { firewallTable, poolFirewall } from '../pool-firewall.ts';
import { findProgram, searchFolders } from '../programs.ts';
import { runProgram } from '../run-program.ts';
import { type Check, check, type Finding, fail, ok, skipped, warn } from './check.ts';
import { readHostFiles } from './host-files.ts';
import { exists, ifAbsent, readIfThere } from './if-there.ts';

export interface InstallChecks {
  readonly root: string;
  readonly path: string | undefined;
  /** IPv4 range of the networks of workloads. */
  readonly pool: string;
  /** Undefined where nobody in this process knows. */
  readonly updates?: (() => UpdateFacts) | undefined;
}

/** How updates of the agent went, as the guard of the host has it. */
export interface UpdateFacts {
  /** The version that is installed; undefined where none was by the bootstrap. */
  readonly current: string | undefined;
  readonly pending: { readonly from: string; readonly to: string; readonly attempts: number } | undefined;
  readonly last: { readonly outcome: string; readonly version: string; readonly reason: string } | undefined;
  readonly skipped: readonly { readonly version: string }[];
}

const rerun = 'Run the bootstrap script again: it puts back what is missing.';
const installed = 'opt/gpuaas-node-agent';
const unitFolder = 'etc/systemd/system';
const started = ['gpuaas-node-agent-gate.service', 'gpuaas-node-agent.service', 'gpuaas-node-agent-update.path'];
/** Started by others: without the first a wish that systemd missed is never seen, without the second no trial ends. */
const needed = ['gpuaas-node-agent-update.timer', 'gpuaas-node-agent-trial.timer'];
const rules = 'etc/gpuaas-node-agent/firewall.nft';

export function installChecks(input: InstallChecks): Check[] {
  const { root } = input;
  return [
    check('host.system', 'What was not tested may work; what is too old does not.', () => judgeSystem(root)),
    check('host.units', 'What systemd does not start is gone after the next boot.', () => judgeUnits(root)),
    check(
      'network.firewall',
      'Neighbours of the network segment, and the metadata of a cloud, are kept from workloads by it.',
      () => judgeFirewall(input),
    ),
    check('network.firewall_loaded', 'Rules that lie in a file keep nobody out.', (signal) =>
      judgeLoaded(input, signal),
    ),
    check('update.state', 'A version that did not prove itself is skipped, and the host stays behind.', () =>
      judgeUpdates(input.updates?.()),
    ),
  ];
}

const tested = ['debian 12', 'debian 13', 'ubuntu 24.04'];
const leastKernel = [5, 10] as const;

async function judgeSystem(root: string): Promise<Finding> {
  const [release, osRelease] = await Promise.all([
    readIfThere(join(root, 'proc/sys/kernel/osrelease')),
    readIfThere(join(root, 'etc/os-release')),
  ]);
  const [major = 0, minor = 0] = (release ?? '').split(/[.-]/).map(Number);
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(osRelease ?? '')?.[1] ?? '';
  const system = `${field('ID')} ${field('VERSION_ID')}`.trim();
  if (release === undefined || major < leastKernel[0] || (major === leastKernel[0] && minor < leastKernel[1])) {
    return fail(`The kernel is ${release?.trim() ?? 'not known'}.`, `Boot one of ${leastKernel.join('.')} or newer.`);
  }
  return tested.includes(system)
    ? ok(`${system}, kernel ${release.trim()}.`)
    : warn(
        `This was not tested on ${system || 'a system without a name'}, kernel ${release.trim()}.`,
        `Use one of ${tested.join(', ')}, or try each app here before people do.`,
      );
}

async function judgeUnits(root: string): Promise<Finding> {
  const units = [...started, ...needed];
  const there = await Promise.all(units.map((unit) => exists(join(root, unitFolder, unit))));
  const missing = units.filter((_, at) => !there[at]);
  if (missing.length === units.length) {
    return skipped('This host was not set up by the bootstrap script.');
  }
  if (missing.length > 0) {
    return fail(`${missing.join(', ')} is not there.`, rerun);
  }
  const wanted = await Promise.all(started.map((unit) => isWanted(root, unit)));
  const idle = started.filter((_, at) => !wanted[at]);
  if (idle.length > 0) {
    return fail(`${idle.join(', ')} is not started at boot.`, `Enable it: systemctl enable --now ${idle.join(' ')}`);
  }
  const changed = await changedFiles(root);
  if (changed === undefined) {
    return ok(`${started.join(', ')} are there and started at boot; there is no release to compare them with.`);
  }
  return changed.length > 0
    ? warn(
        `${changed.join(', ')} is other than in the release.`,
        `${rerun} What is meant to differ belongs into a drop-in (\`systemctl edit\`).`,
      )
    : ok(`${started.join(', ')} are as in the release, and started at boot.`);
}

async function isWanted(root: string, unit: string): Promise<boolean> {
  const folders = ['multi-user.target.wants', 'paths.target.wants'];
  const links = await Promise.all(folders.map((folder) => isLink(join(root, unitFolder, folder, unit))));
  return links.includes(true);
}

/** Paths that differ from the release that they came with; undefined where it is not kept here. */
async function changedFiles(root: string): Promise<string[] | undefined> {
  const files = await readHostFiles(join(root, installed, 'release'));
  if (files === undefined) return undefined;
  const changed = [];
  for (const [name, bytes] of files) {
    const place = placeOf(name);
    if (place === undefined) continue;
    const text = await readIfThere(join(root, place));
    if (text === undefined || text !== bytes.toString('utf8')) changed.push(`/${place}`);
  }
  return changed;
}

/** Where a file of the release lies on the host; undefined for what lies nowhere. */
function placeOf(name: string): string | undefined {
  if (/^([^/]+\.service\.d\/)?[^/]+\.(service|path|timer|conf)$/.test(name)) return `${unitFolder}/${name}`;
  return name === 'guard' ? `${installed}/guard` : undefined;
}

async function judgeFirewall({ root, pool }: InstallChecks): Promise<Finding> {
  const there = await readIfThere(join(root, rules));
  if (there === undefined) {
    return warn(
      `There is no firewall for ${pool}: before engine 28, neighbours reach what workloads publish on 127.0.0.1.`,
      'Run the bootstrap script again, or load what `node-agent host firewall` prints.',
    );
  }
  const covers = there.includes(`table inet ${firewallTable}`) && there.includes(`ip daddr ${pool} counter drop`);
  if (!covers) {
    return fail(`/${rules} is not for ${pool}, the pool of the configuration.`, rerun);
  }
  return there === poolFirewall(pool)
    ? ok(`/${rules} keeps neighbours and workloads of ${pool} apart.`)
    : warn(`/${rules} is not as this version makes it.`, rerun);
}

async function judgeLoaded({ root, path }: InstallChecks, signal: AbortSignal): Promise<Finding> {
  if (!(await exists(join(root, rules)))) {
    return skipped('This host has no firewall of ours; see network.firewall.');
  }
  const nft = await findProgram('nft', searchFolders(path));
  const asked =
    nft === null
      ? undefined
      : await runProgram(nft, ['list', 'table', 'inet', firewallTable], { timeoutMs: 5000, signal });
  if (asked?.outcome !== 'exited') {
    return skipped('nft is not there or does not answer: nothing tells whether the rules are loaded.');
  }
  if (asked.exitCode === 0) {
    return ok(`The rules of table ${firewallTable} are loaded.`);
  }
  // Whatever else it says, it could not look: without rights, and in the agent's own unit, it does not get that far.
  return /No such file or directory/.test(asked.stderr)
    ? fail(`Table ${firewallTable} is not loaded.`, 'Load it: systemctl restart gpuaas-node-agent-firewall')
    : skipped('This process may not look at the firewall; `node-agent doctor` as root can.');
}

async function judgeUpdates(facts: UpdateFacts | undefined): Promise<Finding> {
  const { current, pending, last, skipped: skips = [] } = facts ?? {};
  if (current === undefined) {
    return skipped('This agent was not installed by the bootstrap script, and is not updated by itself.');
  }
  if (pending) {
    return warn(
      `${pending.to} is on trial since ${pending.attempts} starts; ${pending.from} is what came before.`,
      'Wait: within minutes it has proven itself, or the one before is back.',
    );
  }
  if (last && last.outcome !== 'committed') {
    const why = last.reason === '' ? '' : `: ${last.reason.replace(/\.$/, '')}`;
    return warn(
      `The last update, to ${last.version}, was ${last.outcome.replaceAll('_', ' ')}${why}; ${current} runs.`,
      'Read `journalctl -u gpuaas-node-agent -u gpuaas-node-agent-update` of that time, and release a mended version.',
    );
  }
  const list = skips.map(({ version }) => version).join(', ');
  return ok(`${current} runs${list === '' ? ', and nothing is on trial' : `; skipped: ${list}`}.`);
}

async function isLink(path: string): Promise<boolean> {
  return (await readlink(path).catch(ifAbsent)) !== undefined;
}

/** True if the firewall for this pool was installed. */
export async function hasFirewall(root: string, pool: string): Promise<boolean> {
  return (await readIfThere(join(root, rules)))?.includes(`ip daddr ${pool} counter drop`) ?? false;
}
