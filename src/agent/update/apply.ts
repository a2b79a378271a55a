/**
 * `node-agent update --apply`, run by `systemd/guard` as root, by the version that runs and has proven itself: installs a release
 * that the agent has staged, and puts it on trial. Restarting is the guard's.
 *
 *   copy ─▶ judge by root's own release root and memory ─▶ unpack ─▶ self-test ─▶ in place ─▶ pending ─▶ current
 *
 * The agent may be hostile: only copies are judged, and only what was judged is installed. A kill at any step leaves the old
 * version in place, or the new one with its `pending`.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  createReadStream,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { AgentError } from '../../contract/failures.ts';
import { maxPaperBytes, type ReleaseArtifact, releasePapers } from '../../contract/release.ts';
import { pointLink, syncPath, writeDurable, writeWhole } from '../../kit/durable.ts';
import { UntrustedFolder } from '../../kit/untrusted-folder.ts';
import { artifactFor, judgeArtifact, judgeRelease, type TrustedRelease } from '../../policy/release-trust.ts';
import { readSystemTrouble } from '../system-trouble.ts';
import { believableTime } from './believable-time.ts';
import { readInstalledSeq, readMemory, readPending, readSkipped, readVersionLink } from './guarded.ts';
import type { UpdatePlaces } from './places.ts';
import { readReleaseRoot } from './release-root.ts';
import { selfTest } from './self-test.ts';

export interface ApplyOptions {
  readonly places: UpdatePlaces;
  readonly version: string;
  readonly task: string;
  readonly nonce: string;
  /** A release folder that an operator gave; he may also go back to an older release above the floor. */
  readonly from: string | undefined;
  readonly pinned: string | null;
  readonly arch: string;
  /** What the clock of the host says. */
  readonly wallMs: number;
  /** Where the kernel says how long it runs, and which boot this is; below a folder in tests. */
  readonly proc: string;
}

/** Throws `update.*`, and says why in `last`, where nothing was changed. */
export async function applyUpdate(options: ApplyOptions): Promise<void> {
  const { places, version, task, nonce } = options;
  try {
    await install(options);
  } catch (error) {
    const known = readSystemTrouble(error) ?? error;
    const { code, message } = known instanceof AgentError ? known : { code: 'update.failed', message: String(error) };
    const outcome = code === 'update.failed' ? 'failed' : 'refused';
    writeDurable(
      join(places.guarded, 'last'),
      facts({ ...{ outcome, version, from: '', task, nonce, code }, reason: oneLine(message) }),
    );
    throw error;
  }
}

async function install({ places, version, task, nonce, from: folder, ...options }: ApplyOptions): Promise<void> {
  const current = readVersionLink(places, 'current');
  if (current === undefined) {
    throw new AgentError('update.failed', { reason: 'There is no version of the agent in place to begin with.' });
  }
  if (readPending(places)) {
    throw new AgentError('update.in_progress', { version });
  }
  if (current === version) {
    throw new AgentError('update.failed', { reason: `${version} is the version that runs.` });
  }

  const source = new UntrustedFolder(folder ?? places.staged, damaged);
  const work = join(places.guarded, 'work');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { mode: 0o700 });
  try {
    const trusted = judgeRelease(readPapers(source), readReleaseRoot(places.releaseRoot), {
      memory: readMemory(places),
      now: believableTime(options.wallMs),
      current: { version: current, seq: readInstalledSeq(places, current) },
      pinned: options.pinned,
      skipped: readSkipped(places).map((each) => each.version),
      arch: options.arch,
      downgrade: folder !== undefined,
    });
    if (trusted.release.version !== version) {
      const reason = `${version} was asked for, and the release is ${trusted.release.version}.`;
      throw new AgentError('update.untrusted', { reason });
    }
    const packed = join(work, 'packed');
    const artifact = artifactFor(trusted.release, 'agent', options.arch);
    const hash = createHash('sha256');
    source.copy(artifact.name, packed, artifact.size, (chunk) => void hash.update(chunk));
    judgeArtifact(artifact, 'packed', { size: statSync(packed).size, sha256: hash.digest('hex') });
    await putInPlace({ places, version, packed, artifact, trusted });
    swap({ places, trusted, from: current, to: version, task, nonce, proc: options.proc });
  } finally {
    source.close();
    rmSync(work, { recursive: true, force: true });
  }
}

function readPapers(source: UntrustedFolder) {
  return {
    manifest: source.read(releasePapers.manifest, maxPaperBytes),
    manifestSignature: source.read(releasePapers.manifestSignature, 64),
    keys: source.read(releasePapers.keys, maxPaperBytes),
    keysSignature: source.read(releasePapers.keysSignature, 64),
  };
}

interface Unpacking {
  readonly places: UpdatePlaces;
  readonly version: string;
  readonly packed: string;
  readonly artifact: ReleaseArtifact;
  readonly trusted: TrustedRelease;
}

/** Under its name only when it is whole, on the disk, and has run as the agent's own user. */
async function putInPlace({ places, version, packed, artifact, trusted }: Unpacking): Promise<void> {
  const folder = join(places.installed, 'versions', version);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const unpacked = join(folder, '.node-agent.new');
  rmSync(unpacked, { force: true });
  try {
    judgeArtifact(artifact, 'unpacked', await unpack(packed, unpacked, artifact.unpacked_size ?? 0));
    await selfTest(unpacked, statSync(join(places.staged, '..')));
    writeDurable(join(folder, 'seq'), `${trusted.release.seq}\n`);
    renameSync(unpacked, join(folder, 'node-agent'));
    syncPath(folder);
    syncPath(join(folder, '..'));
  } finally {
    rmSync(unpacked, { force: true });
  }
}

async function unpack(packed: string, to: string, maxBytes: number): Promise<{ size: number; sha256: string }> {
  const file = openSync(to, 'wx', 0o755);
  const hash = createHash('sha256');
  let size = 0;
  try {
    for await (const chunk of createReadStream(packed).pipe(createGunzip()) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) {
        break;
      }
      hash.update(chunk);
      writeWhole(file, chunk);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  chmodSync(to, 0o755);
  return { size, sha256: hash.digest('hex') };
}

interface Swap {
  readonly places: UpdatePlaces;
  readonly trusted: TrustedRelease;
  readonly from: string;
  readonly to: string;
  readonly task: string;
  readonly nonce: string;
  readonly proc: string;
}

/**
 * The way back is made first, so that going it needs no room on the disk. Then `pending`: without it nobody would count the
 * starts. Then the link.
 */
function swap({ places, trusted: { release, keysSeq }, from, to, task, nonce, proc }: Swap): void {
  const { seq, floor } = release;
  const since = Math.floor(Number(readFileSync(join(proc, 'uptime'), 'utf8').split(' ')[0]));
  const boot = readFileSync(join(proc, 'sys/kernel/random/boot_id'), 'utf8').trim();
  pointLink(places.installed, '.back', `versions/${from}`);
  writeDurable(
    join(places.guarded, 'pending'),
    facts({ ...{ from, to, task, nonce, attempts: 0, boot, since, seq, floor }, keys_seq: keysSeq }),
  );
  pointLink(places.installed, 'current', `versions/${to}`);
}

function facts(values: Record<string, string | number>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

function damaged(file: string, reason: string): AgentError {
  return new AgentError('update.damaged', { file, reason });
}

function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 1000);
}
