/**
 * Which jobs are begun next, and where. Pure.
 *
 * Turns go round between projects: next is always the one with the fewest jobs at work, and of several such the one that has
 * waited longest. Within a project jobs go by age, and a small one may pass a large one that has to wait, but not for ever: a job
 * that has waited for `patienceMs` gets a host kept for itself, where nothing else is begun until it fits.
 */
import type { JobNeeds } from '../db/entities/job.ts';
import {
  type Fit,
  fitOf,
  inWords,
  inWordsOfNever,
  type JobHost,
  largest,
  type Missing,
  taking,
  waitsInVain,
} from './placement.ts';

export const patienceMs = 10 * 60 * 1000;

export interface WaitingJob {
  readonly id: string;
  readonly projectId: string;
  /** Milliseconds since 1970. */
  readonly queuedAt: number;
  /** It is not begun before. */
  readonly notBefore: number;
  /** Why its last attempt has failed. */
  readonly failed?: string | undefined;
  /** Nodes that have refused it, each as often as it did. */
  readonly refusedBy?: readonly string[];
  /** The only one that it may run on; null for any. */
  readonly allocationId: string | null;
  readonly needs: JobNeeds;
  /** Revision that it is of, if any. */
  readonly revision?: string | undefined;
}

export interface Placed {
  readonly job: WaitingJob;
  readonly host: JobHost;
  readonly granted: Extract<Fit, { is: 'now' }>['granted'];
}

export interface Turn {
  readonly begin: readonly Placed[];
  /** Why each of the others waits, by its id. */
  readonly reasons: ReadonlyMap<string, string>;
}

/** `atWork`: jobs that each project has on hosts. */
export function nextTurn(
  waiting: readonly WaitingJob[],
  hosts: readonly JobHost[],
  atWork: ReadonlyMap<string, number>,
  now: number,
): Turn {
  const places = new Map(hosts.map((host) => [host.nodeId, host]));
  const keptFor = reservations(waiting, hosts, now);
  const running = new Map(atWork);
  const open = [...waiting].filter(({ notBefore }) => notBefore <= now).sort(byAge);
  const begin: Placed[] = [];
  for (;;) {
    const placed = turnsOf(open, running)
      .map((projectId) => firstThatFits(open, projectId, [...places.values()], keptFor))
      .find((each) => each !== undefined);
    if (placed === undefined) break;
    begin.push(placed);
    open.splice(open.indexOf(placed.job), 1);
    places.set(placed.host.nodeId, taking(placed.host, placed.granted, placed.job.needs, placed.job.revision));
    running.set(placed.job.projectId, (running.get(placed.job.projectId) ?? 0) + 1);
  }
  const begun = new Set(begin.map(({ job }) => job));
  const left = waiting.filter((job) => !begun.has(job));
  return { begin, reasons: new Map(left.map((job) => [job.id, whyNot(job, [...places.values()], keptFor, now)])) };
}

const byAge = (a: WaitingJob, b: WaitingJob) => a.queuedAt - b.queuedAt || (a.id < b.id ? -1 : 1);

/** Projects in the order of their turns. */
function turnsOf(open: readonly WaitingJob[], running: ReadonlyMap<string, number>): string[] {
  // `open` is by age, so the first job of a project is its oldest.
  const projects = [...new Set(open.map(({ projectId }) => projectId))];
  return projects.sort((a, b) => (running.get(a) ?? 0) - (running.get(b) ?? 0));
}

function firstThatFits(
  open: readonly WaitingJob[],
  projectId: string,
  hosts: readonly JobHost[],
  keptFor: ReadonlyMap<string, string>,
): Placed | undefined {
  for (const job of open) {
    if (job.projectId !== projectId) continue;
    for (const host of inOrder(hosts, job).filter((each) => isFor(job, each))) {
      const owner = keptFor.get(host.nodeId);
      if (host.unfit !== undefined || (owner !== undefined && owner !== job.id)) continue;
      const fit = fitOf(job.needs, host, job.revision);
      if (fit.is === 'now') return { job, host, granted: fit.granted };
    }
  }
  return undefined;
}

/** Those first that have refused it least: what a host lacks is not in all that it says. */
function inOrder(hosts: readonly JobHost[], { refusedBy = [] }: WaitingJob): JobHost[] {
  const refusals = ({ nodeId }: JobHost) => refusedBy.filter((id) => id === nodeId).length;
  return hosts.toSorted((a, b) => refusals(a) - refusals(b));
}

export function isFor({ projectId, allocationId }: Pick<WaitingJob, 'projectId' | 'allocationId'>, host: JobHost) {
  return host.projects.includes(projectId) && (allocationId === null || allocationId === host.allocationId);
}

/** Node by job: the longest waiting choose first, each one host that it fits on once that is empty enough. */
function reservations(waiting: readonly WaitingJob[], hosts: readonly JobHost[], now: number): Map<string, string> {
  const kept = new Map<string, string>();
  for (const job of [...waiting].sort(byAge)) {
    if (now - job.queuedAt < patienceMs) break;
    const able = inOrder(hosts, job).filter(
      (host) => isFor(job, host) && host.unfit === undefined && mayFit(job, host, now),
    );
    const free = able.find(({ nodeId }) => !kept.has(nodeId));
    if (free) kept.set(free.nodeId, job.id);
  }
  return kept;
}

/** Once that host is empty enough; one that it fits on now is kept for none that pauses. */
function mayFit({ needs, revision, notBefore }: WaitingJob, host: JobHost, now: number): boolean {
  const { is } = fitOf(needs, host, revision);
  return is === 'later' ? !waitsInVain(needs, host, revision) : is === 'now' && notBefore <= now;
}

function whyNot(job: WaitingJob, hosts: readonly JobHost[], keptFor: ReadonlyMap<string, string>, now: number): string {
  if (job.notBefore > now) {
    const at = `It is begun again at ${new Date(job.notBefore).toISOString()}`;
    return job.failed === undefined ? `${at}.` : `${at}: ${job.failed}`;
  }
  const mine = hosts.filter((host) => isFor(job, host));
  if (mine.length === 0) return 'It waits for a host: its project has none now.';
  const able = mine.filter((host) => host.unfit === undefined);
  if (able.length === 0) return `It waits for its host. ${mine.map(({ name, unfit }) => `${name}: ${unfit}`)[0]}`;
  const fits = able.map((host) => fitOf(job.needs, host, job.revision));
  const later = fits.flatMap((fit) => (fit.is === 'later' ? [fit.missing] : [])).sort((a, b) => a.length - b.length);
  const missing = later[0] && largest(later[0]);
  if (missing) return `It waits until it can have ${inWords(missing)} that are free.`;
  if (fits.some(({ is }) => is === 'now')) {
    const isKept = able.every(({ nodeId }) => (keptFor.get(nodeId) ?? job.id) !== job.id);
    return isKept ? 'It waits: its host is kept for a job that has waited longer.' : 'It waits for its turn.';
  }
  return `No host of its project that is there now can carry it out: it needs ${inWordsOfNever(neverOf(fits))}.`;
}

/** What is missing where least is, of hosts that are all too small. */
export function neverOf(fits: readonly Fit[]): Missing {
  const never = fits.flatMap((fit) => (fit.is === 'never' ? [fit.missing] : [])).sort((a, b) => a.length - b.length);
  return (never[0] && largest(never[0])) ?? { name: 'hosts', wanted: 1, have: 0 };
}
