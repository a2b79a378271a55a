/**
 * The engine gate: the only process that holds the container engine's socket.
 *
 *   client ──HTTP on a Unix socket──▶ gate.ts ─▶ routes.ts ─▶ policy, seal ─▶ upstream.ts ──▶ engine
 *                                        └─▶ anything else: refused, logged, the engine never contacted
 *
 * Whoever takes over the agent holds the client's end. The gate therefore trusts nothing that comes in: it reads a
 * request into its parts, finds it in a closed table, judges it by this host's own policy, and writes a new request.
 * It refuses by default, keeps its key and state to itself, and no error on either side ends the process.
 */

import { backoffDelay, pause } from '../kit/backoff.ts';
import type { Log } from '../kit/log.ts';
import { KeyedMutex } from '../kit/mutex.ts';
import { buildLimits, type HostPolicy } from '../policy/host-policy.ts';
import { ArchiveReads } from './archive-reads.ts';
import { BuildTurns } from './build-turns.ts';
import { BuiltImages } from './built-images.ts';
import { CacheRecords } from './cache-records.ts';
import type { GateContext } from './context.ts';
import { EgressImage } from './egress-image.ts';
import { KnownExecs } from './execs.ts';
import { PendingStarts } from './pending-starts.ts';
import { Seals } from './seal.ts';
import { loadSealKey, peekSealKey } from './seal-key.ts';
import { SealedContainers } from './sealed-containers.ts';
import { createGateServer } from './server.ts';
import { listenOn } from './socket-file.ts';
import { verifyPending } from './start-container.ts';
import { Upstream } from './upstream.ts';

export interface GateOptions {
  /** Where clients connect. */
  readonly socketPath: string;
  /** Rights of that socket; 0600 if absent. */
  readonly socketMode?: number | undefined;
  /** Group that owns that socket; the process's own if absent. */
  readonly socketGroup?: number | undefined;
  /** The container engine's socket. */
  readonly engineSocket: string;
  /** Key and memory of the gate; nobody else may read it. Containers are ours only with the key that made them. */
  readonly stateDir: string;
  /**
   * Leaves that folder as it is: knows our containers by the key that is there, and has nothing to do with what a gate
   * that may be at work at the same time remembers.
   */
  readonly lookOnly?: boolean | undefined;
  readonly policy: HostPolicy;
  readonly log: Log;
}

export interface Gate {
  readonly socketPath: string;
  /** Rejects with `engine.unsupported` where workloads may not run on the engine, and otherwise where it cannot be asked. */
  assertEngine(): Promise<void>;
  /** Ends every connection at once; containers run on. */
  close(): Promise<void>;
}

const settleBackoff = { firstMs: 500, maxMs: 30_000, factor: 2 };

/** Resolves when the gate takes connections. The engine need not run: until it does, calls are `engine.unavailable`. */
export async function startGate(options: GateOptions): Promise<Gate> {
  const { socketPath, stateDir, lookOnly = false, policy, log } = options;
  const seals = new Seals(await (lookOnly ? peekSealKey(stateDir) : loadSealKey(stateDir)));
  const engine = new Upstream(options.engineSocket, policy.approved_engines);
  const closing = new AbortController();
  let settling: Promise<void> | undefined;
  const gate: GateContext = {
    engine,
    policy,
    seals,
    log,
    clientGroup: options.socketGroup,
    containers: new SealedContainers(engine, seals),
    execs: new KnownExecs(),
    caches: lookOnly ? new CacheRecords() : await CacheRecords.open(stateDir),
    builtImages: lookOnly ? new BuiltImages() : await BuiltImages.open(stateDir),
    builds: new BuildTurns(policy.builds ? buildLimits(policy.builds).at_once : 1),
    egressImage: new EgressImage(engine, log, lookOnly ? undefined : stateDir),
    pendingStarts: lookOnly ? new PendingStarts() : await PendingStarts.open(stateDir),
    archiveReads: new ArchiveReads(),
    locks: new KeyedMutex(),
    settleSoon: () => {
      settling ??= settlePending(gate, closing.signal).finally(() => {
        settling = undefined;
      });
    },
  };
  const { server, sockets } = createGateServer(gate);
  const release = await listenOn(server, {
    path: socketPath,
    mode: options.socketMode ?? 0o600,
    group: options.socketGroup,
  });
  gate.settleSoon();

  return {
    socketPath,
    assertEngine: async () => void (await engine.version()),
    close: async () => {
      closing.abort();
      await release();
      const closed = new Promise((resolve) => server.close(resolve));
      // Calls end by their clients, not as if the engine had gone away: the server is closed before its sockets tell that they are.
      const left = [...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
      for (const socket of sockets) socket.destroy();
      await Promise.all([closed, ...left]);
      await settling;
      engine.close();
    },
  };
}

/** Looks at what was started and not looked at, and again until the engine has answered for all of it. */
async function settlePending(gate: GateContext, closing: AbortSignal): Promise<void> {
  for (let attempt = 1; gate.pendingStarts.ids().length > 0 && !closing.aborted; attempt += 1) {
    try {
      await verifyPending(gate, closing);
    } catch (err) {
      if (closing.aborted) return;
      gate.log.warn({ err, attempt }, 'started containers could not be looked at yet');
      await pause(backoffDelay(settleBackoff, attempt), closing).catch(() => undefined);
    }
  }
}
