/** Checks of the clock: against the control plane's, against itself, and who keeps it right. */
import { join } from 'node:path';
import { findProgram, searchFolders } from '../programs.ts';
import { runProgram } from '../run-program.ts';
import { type Check, check, type Finding, fail, ok, skipped, warn } from './check.ts';
import { exists } from './if-there.ts';

export interface ClockChecks {
  readonly root: string;
  readonly path: string | undefined;
  /** Milliseconds since 1970, by the clock of this host. */
  readonly now?: () => number;
  /** By how many milliseconds the clock is ahead of the control plane's; null where nobody knows. */
  readonly aheadMs: () => number | null;
  /** By how many milliseconds somebody has set the clock since the agent started; null where no agent runs. */
  readonly setMs: () => number | null;
}

export function clockChecks(input: ClockChecks): Check[] {
  return [
    check('host.clock', 'Certificates, and the times in logs and events, are judged by the clock of this host.', () =>
      Promise.resolve(judgeClock(input)),
    ),
    check('host.time_sync', 'A clock that nobody keeps runs away by seconds a day.', (signal) =>
      judgeSync(input, signal),
    ),
  ];
}

/** No clock that is right shows a time before this program was written. */
const earliest = Date.UTC(2026, 0, 1);
/** Beyond the first, times are misleading; beyond the second certificates begin to be refused. */
const tolerable = { warnMs: 5000, failMs: 5 * 60_000 };
const setIt = 'Set the clock and turn time synchronisation on: timedatectl set-ntp true';

function judgeClock({ now = Date.now, aheadMs, setMs }: ClockChecks): Finding {
  if (now() < earliest) {
    return fail(`The clock shows ${new Date(now()).toISOString()}.`, setIt);
  }
  const [ahead, moved] = [aheadMs(), setMs()];
  if (ahead !== null && Math.abs(ahead) >= tolerable.warnMs) {
    const found = `The clock is ${inSeconds(ahead)} ${ahead > 0 ? 'ahead of' : 'behind'} that of the control plane.`;
    return Math.abs(ahead) >= tolerable.failMs ? fail(found, setIt) : warn(found, setIt);
  }
  if (moved !== null && Math.abs(moved) >= tolerable.warnMs) {
    const where = moved > 0 ? 'forward' : 'back';
    return warn(`The clock was set ${where} by ${inSeconds(moved)} since the agent started.`, setIt);
  }
  return ahead === null
    ? ok('The clock shows a possible time; there is no control plane to compare it with.')
    : ok('The clock agrees with that of the control plane.');
}

function inSeconds(ms: number): string {
  return `${Math.round(Math.abs(ms) / 1000)} s`;
}

/** Where programs that keep the time say that they run. */
const keepers: readonly (readonly [name: string, places: readonly string[]])[] = [
  ['systemd-timesyncd', ['run/systemd/timesync/synchronized', 'run/systemd/timesync']],
  ['chrony', ['run/chrony/chronyd.pid', 'run/chronyd.pid']],
  ['ntpd', ['run/ntpd.pid', 'run/ntpd/ntpd.pid']],
];

async function judgeSync({ root, path }: ClockChecks, signal: AbortSignal): Promise<Finding> {
  if (!(await exists(join(root, 'run/systemd/system')))) {
    return skipped('There is no systemd here that could tell whether the clock is synchronised.');
  }
  const keeper = await keeperOf(root);
  if (await exists(join(root, 'run/systemd/timesync/synchronized'))) {
    return ok('The clock is synchronised (systemd-timesyncd).');
  }
  // Whoever keeps the time (chrony, ntpd), the kernel knows, and this asks the kernel.
  const tool = await findProgram('timedatectl', searchFolders(path));
  const asked =
    tool === null
      ? undefined
      : await runProgram(tool, ['show', '--property=NTPSynchronized', '--value'], { timeoutMs: 5000, signal });
  const answer = asked?.outcome === 'exited' && asked.exitCode === 0 ? asked.stdout.trim() : '';
  if (answer === 'yes') {
    return ok(`The clock is synchronised (${keeper ?? 'the kernel says so'}).`);
  }
  if (answer === 'no') {
    return keeper === undefined
      ? warn(
          'The clock is not synchronised: no program keeps it.',
          'Have one keep it: apt-get install systemd-timesyncd, or chrony; then timedatectl set-ntp true',
        )
      : warn(
          `The clock is not synchronised: ${keeper} runs, and has not set it yet.`,
          `Look in its log whether ${keeper} reaches its time servers.`,
        );
  }
  return skipped('Nothing here tells whether the clock is synchronised.');
}

async function keeperOf(root: string): Promise<string | undefined> {
  for (const [name, places] of keepers) {
    for (const place of places) {
      if (await exists(join(root, place))) return name;
    }
  }
  return undefined;
}
