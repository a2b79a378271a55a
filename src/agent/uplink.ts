/** The agent's way to its control plane: session, server time and pull credentials; or none, on a host that is no node. */
import { readFileSync } from 'node:fs';
import { AgentError } from '../contract/failures.ts';
import type { TaskEnvelope } from '../contract/task-envelope.ts';
import type { RevisionSource } from '../jobs/inputs/job-inputs.ts';
import type { OutputDestination } from '../jobs/outputs/hand-over.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { repeat } from '../kit/repeat.ts';
import { SingleFlight } from '../kit/single-flight.ts';
import type { PullCredential } from '../runtime/engine.ts';
import type { AgentConfig } from './config.ts';
import { outputDestination } from './control-plane/hand-over.ts';
import { type ControlPlaneOrigin, controlPlaneOrigin } from './control-plane/origin.ts';
import { revisionSource } from './control-plane/revision-source.ts';
import { epochFile } from './identity/epoch-file.ts';
import { careForKeys } from './identity/key-care.ts';
import type { NodeRecord } from './identity/node-record.ts';
import { rotateKeys } from './identity/rotate-keys.ts';
import type { Journal } from './journal/journal.ts';
import type { SessionStatus } from './local-api/agent-status.ts';
import { credentialSource } from './registry-credential.ts';
import { openSession } from './session/open-session.ts';
import type { Session, SessionHandlers, SessionState } from './session/session.ts';
import { SessionNotes } from './session-notes.ts';
import type { ReleaseSource } from './update/download.ts';

export interface UplinkOptions {
  readonly config: AgentConfig;
  /** Undefined where the host is not enrolled. */
  readonly node: NodeRecord | undefined;
  readonly journal: Journal;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Uplink {
  /** Dials, if there is somebody to dial. Returns at once. */
  start(handlers: SessionHandlers): void;
  /** To be called when more tasks may be sent than before. */
  pull(): void;
  /** Server time in milliseconds since 1970; the host's own before the first contact. */
  serverNow(): number;
  /** By how many milliseconds this host's clock is ahead of the control plane's; null before the first contact. */
  clockAheadMs(): number | null;
  /** The credential for pulling the image of a task; undefined for an open registry, and on a host that is no node. */
  credential(
    task: TaskEnvelope,
    unseal: (jwe: string) => Promise<Buffer>,
    signal: AbortSignal,
  ): Promise<PullCredential | undefined>;
  status(): SessionStatus;
  /** How it stands with the control plane; `unreachable` where nobody answers, which is no refusal. */
  standing(): Standing;
  /** Replaces the keys of the node now. `control_plane.unavailable` without a session; else as `rotateKeys` fails. */
  rotateKeys(): Promise<void>;
  /** Where releases of the agent are fetched; undefined on a host that is no node. */
  readonly releases: ReleaseSource | undefined;
  /** Where outputs of jobs are handed over; undefined on a host that is no node. */
  readonly outputs: OutputDestination | undefined;
  /** Where revisions are fetched; undefined on a host that is no node. */
  readonly revisions: RevisionSource | undefined;
  close(): Promise<void>;
}

export type Standing = 'none' | 'connected' | 'unreachable' | 'other';

const keyCareMs = 10 * 60 * 1000;

export function openUplink({ config, node, journal, version, clock, log }: UplinkOptions): Uplink {
  if (node === undefined) {
    return unconfigured(clock);
  }
  const origin = originOf(config, node);
  const notes = new SessionNotes(origin.audience, epochFile(config.state_dir).read(), clock);
  const { state_dir: stateDir } = config;
  const closing = new AbortController();
  const keyCare = new SingleFlight<void>();
  let session: Session | undefined;
  let care: Promise<void> | undefined;
  let credential: ReturnType<typeof credentialSource> | undefined;

  return {
    start: ({ onState, ...handlers }) => {
      const noted = (state: SessionState) => {
        notes.note(state);
        onState(state);
        // A rotation that was interrupted is not kept waiting until the next look.
        if (state.kind === 'connected') void lookAfterKeys();
      };
      session = openSession({
        ...{ stateDir, origin, node, agentVersion: version, journal, log, clock },
        handlers: { ...handlers, onState: noted },
      });
      session.start();
      const onError = (err: unknown) => log.error({ err }, 'the look at the keys of the node ended');
      care = repeat(lookAfterKeys, { ...{ everyMs: keyCareMs, clock, signal: closing.signal }, onError });
    },
    pull: () => session?.pull(),
    serverNow: () => session?.serverNow() ?? clock.wallMs(),
    clockAheadMs: () => {
      const theirs = session?.serverNow();
      return theirs === undefined ? null : clock.wallMs() - theirs;
    },
    credential: async (task, unseal, signal) => {
      credential ??= credentialSource({ origin, bearer: () => session?.bearer(), unseal, clock });
      return await credential(task, signal);
    },
    status: () => notes.status(session?.counts.protocolErrors ?? 0),
    standing: () => standingOf(session?.state),
    rotateKeys: async () => {
      // One that is under way may have begun before whoever asks had a reason to.
      await keyCare.run('keys', async () => undefined).catch(() => undefined);
      const now = session?.state.kind === 'connected' ? session.serverNow() : undefined;
      if (now === undefined) throw noSession(notes.status(0).reason);
      await keyCare.run('keys', () => rotateKeys({ stateDir, origin, now }));
      log.info({}, 'keys of the node replaced');
    },
    releases: { origin, bearer: () => session?.bearer(), serverNow: () => session?.serverNow() },
    outputs: outputDestination(origin, () => session?.bearer()),
    revisions: revisionSource(origin, () => session?.bearer()),
    close: async () => {
      closing.abort();
      await session?.close();
      await care;
      // One that is under way.
      await keyCare.run('keys', async () => undefined).catch(() => undefined);
    },
  };

  /** Only with a session: the time is the control plane's, and it is there to be asked. Never rejects. */
  async function lookAfterKeys(): Promise<void> {
    const now = session?.state.kind === 'connected' ? session.serverNow() : undefined;
    if (now === undefined || closing.signal.aborted) {
      return;
    }
    await keyCare
      .run('keys', () => careForKeys({ stateDir, origin, journal, now, log }))
      .catch((err) => closing.signal.aborted || log.warn({ err }, 'keys of the node could not be looked after'));
  }
}

/** While it dials again, what counts is how the time before ended. */
function standingOf(state: SessionState | undefined): Standing {
  if (state?.kind === 'connected') return 'connected';
  const isAway = (state?.kind === 'waiting' || state?.kind === 'connecting') && state.unreachable === true;
  return isAway ? 'unreachable' : 'other';
}

/** A host that is no node runs what it is told on the host, and looks after it. */
function unconfigured(clock: Clock): Uplink {
  const notes = new SessionNotes(null, 0, clock);
  return {
    start: () => undefined,
    pull: () => undefined,
    serverNow: () => clock.wallMs(),
    clockAheadMs: () => null,
    credential: async () => undefined,
    status: () => notes.status(0),
    standing: () => 'none',
    rotateKeys: async () => {
      throw noSession(notes.status(0).reason);
    },
    releases: undefined,
    outputs: undefined,
    revisions: undefined,
    close: async () => undefined,
  };
}

function noSession(reason: string | null): AgentError {
  return new AgentError('control_plane.unavailable', { reason: reason ?? 'There is no session at the moment.' });
}

/** Where the node belongs, by its configuration or by its enrolment. */
export function originOf({ control_plane = {} }: AgentConfig, node: NodeRecord): ControlPlaneOrigin {
  const { url, ca_file } = control_plane;
  return controlPlaneOrigin(url ?? node.control_plane, ca_file === undefined ? node.ca : readCa(ca_file));
}

/** The PEM in a file. `config.invalid` where it cannot be read. */
export function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    throw new AgentError(
      'config.invalid',
      { reason: `control_plane.ca_file cannot be read: ${code}.`, file },
      { cause: error },
    );
  }
}
