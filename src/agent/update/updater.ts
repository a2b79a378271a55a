/**
 * Carries out `agent.self_update`, over the end of the process that begins it.
 *
 *   old version:  checking ─▶ downloading ─▶ verifying ─▶ draining ─▶ swapping: `request` ─▶ (restarted by the guard)
 *   new version:  on_trial ─▶ committed            old version again:  rolled_back
 *
 * Every start runs the task again (as any task without a result), and looks first at what has become of it: `pending` and
 * `last` of the guard, which names the task. So there is nothing to remember here.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentSelfUpdateOutput, AgentSelfUpdateParams } from '../../contract/agent-self-update.ts';
import { AgentError, type FailureCode, failures } from '../../contract/failures.ts';
import { maxPaperBytes, type ReleaseArtifact, releasePapers } from '../../contract/release.ts';
import { readDisk } from '../../host/resources.ts';
import type { Clock } from '../../kit/clock.ts';
import { writeDurable } from '../../kit/durable.ts';
import {
  admitRelease,
  artifactFor,
  judgeRelease,
  type ReleasePapers,
  type ReleaseStanding,
  type TrustedRelease,
  trustRelease,
} from '../../policy/release-trust.ts';
import type { UpdateReport } from '../../tasks/task-context.ts';
import type { AvailableUpdate } from '../local-api/update-state.ts';
import { readSystemTrouble } from '../system-trouble.ts';
import { download, fetchPaper, type ReleaseSource } from './download.ts';
import {
  type LastUpdate,
  readInstalledSeq,
  readLast,
  readMemory,
  readPending,
  readSkipped,
  readVersionLink,
} from './guarded.ts';
import type { UpdatePlaces } from './places.ts';
import { readReleaseRoot } from './release-root.ts';
import type { UpdateConfig } from './update-config.ts';
import { isOpen, opensAt } from './window.ts';

export interface UpdaterParts {
  /** Of this program. */
  readonly version: string;
  readonly settings: UpdateConfig;
  readonly places: UpdatePlaces;
  readonly source: ReleaseSource | undefined;
  /** Takes no new tasks until the returned function is called. */
  readonly hold: (reason: string) => () => void;
  /** Resolves when no other task is at work, or after so long. */
  readonly othersEnd: (withinMs: number) => Promise<void>;
  readonly clock: Clock;
  readonly arch?: string;
}

export interface UpdateWish extends AgentSelfUpdateParams {
  /** Somebody on the host asks: he may do so at any time. */
  readonly byHost: boolean;
}

const drainMs = 120_000;
const lookMs = 250;
/** The root side copies, unpacks and tests some 150 MB. */
const swapMs = 60_000;
const swapAttempts = 3;
const reportMs = 1000;
/** Somebody waits for what `--check` says; a task has its deadline. */
const glanceAttempts = 10;
/** Room that is left beside what an update needs. */
const spareBytes = 64 * 2 ** 20;

export class Updater {
  readonly #parts: UpdaterParts;
  readonly #closing = new AbortController();
  #atWork = false;

  constructor(parts: UpdaterParts) {
    this.#parts = parts;
  }

  /** What is under way stays without an end here: the next process goes on with it. */
  close(): void {
    this.#closing.abort();
  }

  async update(wish: UpdateWish, { signal: given, ...how }: UpdateReport): Promise<AgentSelfUpdateOutput> {
    const report = { ...how, signal: AbortSignal.any([given, this.#closing.signal]) };
    if (this.#atWork) {
      throw new AgentError('update.in_progress', { version: wish.version });
    }
    this.#atWork = true;
    try {
      return await this.#carryOut(wish, report);
    } catch (error) {
      if (this.#closing.signal.aborted) return await endless();
      throw readSystemTrouble(error) ?? error;
    } finally {
      this.#atWork = false;
    }
  }

  async #carryOut(wish: UpdateWish, report: UpdateReport): Promise<AgentSelfUpdateOutput> {
    const { version, places } = this.#parts;
    if (version === wish.version) {
      return await this.#proveSelf(report);
    }
    while (readPending(places)?.task === report.taskId) await this.#look();
    const last = readLast(places);
    if (last?.task === report.taskId && last.version === wish.version) {
      failAs(last, report);
    }
    if (readPending(places)) {
      throw new AgentError('update.in_progress', { version: wish.version });
    }
    const release = await this.#check(wish, report);
    await this.#fetch(release, report);
    return await this.#swap(wish.version, report);
  }

  /** This is the version that is wanted: on trial, or as it was. */
  async #proveSelf({ taskId, tell }: UpdateReport): Promise<AgentSelfUpdateOutput> {
    const { version, places } = this.#parts;
    const isOnTrial = () => readPending(places)?.to === version;
    if (isOnTrial()) {
      tell('on_trial', `Version ${version} runs, and has to prove itself.`, { version });
      while (isOnTrial()) await this.#look();
    }
    const last = readLast(places);
    if (last?.task !== taskId || last.outcome !== 'committed') {
      return { version, from: version, outcome: 'already' };
    }
    tell('committed', `Version ${version} has proven itself.`, { version, from: last.from });
    return { version, from: last.from, outcome: 'committed' };
  }

  async #check(wish: UpdateWish, { tell, signal }: UpdateReport): Promise<TrustedRelease> {
    const { settings, places, source, clock } = this.#parts;
    tell('checking', `Version ${wish.version} is looked at.`, { version: wish.version });
    if (!source) {
      throw new AgentError('task.unsupported', {
        reason: 'This host is no node of a control plane; `node-agent update --from FOLDER` works without one.',
      });
    }
    if (readVersionLink(places, 'current') === undefined) {
      const reason = 'This agent was not installed by the bootstrap: whoever put it here has to replace it.';
      throw new AgentError('task.unsupported', { reason, path: places.installed });
    }
    mayBegin(wish, settings, source.serverNow() ?? clock.wallMs());
    const papers = await this.#papers(wish.version, signal);
    const release = judgeRelease(papers, readReleaseRoot(places.releaseRoot), this.#standing());
    if (release.release.version !== wish.version) {
      const reason = `${wish.version} was asked for, and the release is ${release.release.version}.`;
      throw new AgentError('update.untrusted', { reason });
    }
    this.#stagePapers(papers);
    return release;
  }

  /** The present release of the channel, and whether this host would take it. */
  async available(signal: AbortSignal): Promise<AvailableUpdate> {
    const { settings, places } = this.#parts;
    const root = readReleaseRoot(places.releaseRoot);
    const trusted = trustRelease(await this.#papers(settings.channel, signal, glanceAttempts), root);
    const { version, seq } = trusted.release;
    try {
      admitRelease(trusted, this.#standing());
      return { version, seq, refused: null };
    } catch (error) {
      if (error instanceof AgentError) return { version, seq, refused: error.toFailure() };
      throw error;
    }
  }

  /** Time is that of the control plane: a clock that somebody sets makes nothing expire, and nothing valid again. */
  #standing(): ReleaseStanding {
    const { settings, places, source, version, arch = process.arch } = this.#parts;
    return {
      memory: readMemory(places),
      now: source?.serverNow() ?? null,
      current: { version, seq: readInstalledSeq(places, version) },
      pinned: settings.pinned,
      skipped: readSkipped(places).map((each) => each.version),
      arch,
    };
  }

  /** The four papers of a release, or of the present one of a channel. */
  async #papers(release: string, signal: AbortSignal, maxIdleAttempts?: number): Promise<ReleasePapers> {
    const { source, clock } = this.#parts;
    if (!source) {
      throw new AgentError('task.unsupported', { reason: 'This host is no node of a control plane.' });
    }
    const how = { source, release, clock, signal, ...(maxIdleAttempts && { maxIdleAttempts }) };
    const get = (name: string) => fetchPaper(name, maxPaperBytes, how);
    const manifest = await get(releasePapers.manifest);
    const manifestSignature = await get(releasePapers.manifestSignature);
    const keys = await get(releasePapers.keys);
    return { manifest, manifestSignature, keys, keysSignature: await get(releasePapers.keysSignature) };
  }

  async #fetch({ release }: TrustedRelease, { tell, signal }: UpdateReport): Promise<void> {
    const { places, source, clock, arch = process.arch } = this.#parts;
    const artifact = artifactFor(release, 'agent', arch);
    clearOthers(places, artifact);
    await assertRoom(places, artifact);
    const { version } = release;
    let toldAt = Number.NEGATIVE_INFINITY;
    const onBytes = (bytes: number) => {
      if (clock.monotonicMs() - toldAt < reportMs && bytes < artifact.size) return;
      toldAt = clock.monotonicMs();
      tell('downloading', `${bytes} of ${artifact.size} bytes are here.`, { bytes, bytes_total: artifact.size });
    };
    if (source) {
      await download({
        ...{ source, release: version, artifact, file: join(places.staged, artifact.name) },
        ...{ clock, signal, onBytes },
      });
    }
    tell('verifying', `Version ${version} is the one that was signed.`, { version });
  }

  async #swap(version: string, { taskId, tell, signal }: UpdateReport): Promise<AgentSelfUpdateOutput> {
    const { hold, othersEnd, places } = this.#parts;
    const release = hold(`It is updated to ${version}.`);
    try {
      tell('draining', 'Tasks that are at work come to their end; new ones wait.', { version });
      await othersEnd(drainMs);
      // From here on it can be done without us: nothing is given up any more.
      signal.throwIfAborted();
      tell('swapping', `Version ${version} takes over.`, { version });
      for (let attempt = 1; attempt <= swapAttempts; attempt += 1) {
        const nonce = randomUUID();
        writeDurable(join(places.staged, 'request'), `${version} ${taskId} ${nonce}\n`, 0o600);
        const last = await this.#answerTo(nonce);
        if (last) failAs(last, { tell });
      }
      const units = 'gpuaas-node-agent-update.path and gpuaas-node-agent-update.timer';
      const reason = `The root side of this host did not answer: ${units} may not be active.`;
      throw new AgentError('update.failed', { reason, version });
    } finally {
      release();
    }
  }

  /** What the guard says without having restarted this process; undefined where it says nothing in time. */
  async #answerTo(nonce: string): Promise<LastUpdate | undefined> {
    const { places, clock } = this.#parts;
    const until = clock.monotonicMs() + swapMs;
    while (clock.monotonicMs() < until) {
      const last = readLast(places);
      if (last?.nonce === nonce) return last;
      await this.#look();
    }
    return undefined;
  }

  async #look(): Promise<void> {
    await this.#parts.clock.pause(lookMs, this.#closing.signal);
  }

  #stagePapers(papers: ReleasePapers): void {
    const { staged } = this.#parts.places;
    mkdirSync(staged, { recursive: true, mode: 0o700 });
    for (const paper of Object.keys(releasePapers) as (keyof ReleasePapers)[]) {
      writeDurable(join(staged, releasePapers[paper]), papers[paper], 0o600);
    }
  }
}

function endless(): Promise<never> {
  return new Promise(() => undefined);
}

function failAs({ outcome, code, reason, version }: LastUpdate, { tell }: Pick<UpdateReport, 'tell'>): never {
  if (outcome === 'rolled_back' || outcome === 'stuck') {
    tell('rolled_back', `Version ${version} did not prove itself: ${reason}`, { version, reason });
  }
  throw new AgentError(Object.hasOwn(failures, code) ? (code as FailureCode) : 'update.failed', { reason, version });
}

/** Throws `update.held`: the operator of the host says when. */
function mayBegin({ byHost, urgent = false }: UpdateWish, { automatic, window }: UpdateConfig, nowMs: number): void {
  if (byHost) {
    return;
  }
  if (!automatic) {
    throw new AgentError('update.held', { reason: 'Only somebody on this host updates it (`updates.automatic`).' });
  }
  if (window && !urgent && !isOpen(window, nowMs)) {
    const opens = opensAt(window, nowMs) ?? null;
    throw new AgentError('update.held', { reason: `Its window opens at ${opens}.`, opens_at: opens });
  }
}

/** What an earlier update has left is of no use for this one. */
function clearOthers({ staged }: UpdatePlaces, { name }: ReleaseArtifact): void {
  const kept = new Set<string>([...Object.values(releasePapers), name, `${name}.part`, 'request', 'alive', 'stable']);
  for (const each of readdirSync(staged)) {
    if (!kept.has(each)) rmSync(join(staged, each), { recursive: true, force: true });
  }
}

async function assertRoom({ staged, installed }: UpdatePlaces, { size, unpacked_size = 0 }: ReleaseArtifact) {
  const needs = [
    { path: staged, bytes: size + spareBytes },
    { path: installed, bytes: unpacked_size + size + spareBytes },
  ];
  for (const { path, bytes } of needs) {
    const { freeBytes } = await readDisk(path);
    if (freeBytes < bytes) {
      throw new AgentError('disk.full', { path, free_bytes: freeBytes, needed_bytes: bytes });
    }
  }
}
