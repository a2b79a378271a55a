/** Puts the control plane together on an open store. Reads as a list of its parts. */
import type { AddressInfo } from 'node:net';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { ServerContext, ServerSettings } from './context.ts';
import type { Store } from './db/store.ts';
import type { ConsoleFiles } from './http/console-files.ts';
import { createHttpServer } from './http/http-server.ts';
import { createMetrics } from './http/metrics.ts';
import { RateLimits } from './http/rate-limits.ts';
import { Hub } from './hub/hub.ts';
import { exposeHub } from './hub/hub-metrics.ts';
import type { RecordSink } from './hub/record-sink.ts';
import { TaskQueue } from './hub/task-queue.ts';
import { MetricsBoard } from './instances/metrics-board.ts';
import { reconciler } from './instances/reconciler.ts';
import { exposeSamples } from './instances/sample-metrics.ts';
import { defaultOutputLimits } from './job-outputs/keep-outputs.ts';
import { OutputFiles } from './job-outputs/output-files.ts';
import { keepDispatching } from './jobs/dispatcher.ts';
import { followingJobs } from './jobs/job-results.ts';
import { resolvingOf } from './jobs/resolve-images.ts';
import type { ServerKeys } from './keys/server-keys.ts';
import { environmentOf } from './launch/environment.ts';
import { warnIfNobodyLaunches } from './launch/nobody-launches.ts';
import { recordSignOff } from './launch/sign-off.ts';
import { followingUpdates, keepRolling } from './releases/keep-rolling.ts';
import { ReleaseFiles } from './releases/release-files.ts';
import { keepJudging } from './revisions/keep-judging.ts';
import { defaultRevisionLimits } from './revisions/keep-pushes.ts';
import { RevisionFiles } from './revisions/revision-files.ts';
import { routesOf } from './routes.ts';
import { keepSweeping } from './sweep.ts';

export interface ServerParts {
  readonly store: Store;
  readonly keys: ServerKeys;
  readonly log: Log;
  readonly clock: Clock;
  readonly settings: ServerSettings;
  readonly version: string;
  /** Folder for the files of releases. */
  readonly releases: string;
  /** Folder for what is kept of jobs. */
  readonly outputs: string;
  /** Folder for the files that jobs are made of. */
  readonly revisions: string;
  /** Gets what nodes report instead of the reconciler; for tests that look at the reports themselves. */
  readonly sink?: RecordSink;
  /** Loads what `/` shows; undefined where there is no console. */
  readonly console?: () => Promise<ConsoleFiles>;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Judges every answer by its own schema; for tests. */
  readonly checkAnswers?: boolean;
}

export interface ControlPlane {
  readonly context: ServerContext;
  /** Serves from now on. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Says goodbye to nodes, ends streams, lets requests at work end for so long; false where some were cut off. The store is the caller's to close. */
  close(patienceMs?: number): Promise<boolean>;
}

export function createControlPlane(parts: ServerParts): ControlPlane {
  const { store, keys, log, clock, settings, version, tls, checkAnswers = false } = parts;
  const samples = new MetricsBoard();
  const reports = { environment: environmentOf(settings), clock, metrics: samples, queue: () => queue };
  const outputs = new OutputFiles(parts.outputs, store, () => clock.monotonicMs());
  const revisions = new RevisionFiles(parts.revisions, store);
  const updates = followingUpdates(parts.sink ?? reconciler(reports), () => queue, clock);
  const sink = followingJobs(updates, { queue: () => queue, outputs, clock });
  const queue: TaskQueue = new TaskQueue(sink, clock);
  const hub = new Hub({
    store,
    queue,
    keys: keys.task,
    sink,
    log,
    clock,
    audience: () => new URL(settings.publicUrl).origin,
  });
  const files = new ReleaseFiles(parts.releases);
  const outputLimits = settings.outputs ?? defaultOutputLimits;
  const metrics = createMetrics();
  const limits = new RateLimits({
    ...{ sizes: settings.rates, refused: metrics.rateLimited, now: () => clock.monotonicMs() },
  });
  const context: ServerContext = {
    store,
    log,
    clock,
    settings,
    keys,
    queue,
    hub,
    limits,
    files,
    samples,
    ...{ outputs, outputLimits, revisions, revisionLimits: settings.revisions ?? defaultRevisionLimits },
  };
  exposeHub(metrics.registry, { hub, queue });
  exposeSamples(metrics.registry, samples, () => clock.wallMs());
  const http = createHttpServer({
    ...{ store, log, metrics, limits, checkAnswers, now: () => clock.wallMs() },
    routes: routesOf(context, metrics, version),
    hostNames: [new URL(settings.publicUrl).hostname],
    ...(tls ? { tls } : {}),
    ...(parts.console ? { console: parts.console } : {}),
    ...(settings.strangers ? { strangers: settings.strangers } : {}),
  });
  const stopped = new AbortController();
  return {
    context,
    listen: async (host, port) => {
      await hub.start(http.server, (socket) => http.door.letIn(socket));
      await recordSignOff(store, settings, version, clock.wallMs());
      await warnIfNobodyLaunches(store, settings.launchEnabled, log);
      void keepSweeping({ store, files: [outputs, revisions], clock, log }, stopped.signal);
      const isConnected = (nodeId: string) => hub.isConnected(nodeId);
      void keepDispatching({ store, queue, vault: keys.vault, clock, log, isConnected }, stopped.signal);
      const judging = { store, revisions, limits: context.revisionLimits, resolving: resolvingOf(context), clock, log };
      void keepJudging(judging, stopped.signal);
      void keepRolling({ store, queue, clock, log, isConnected }, stopped.signal);
      return http.listen(host, port);
    },
    close: async (patienceMs) => {
      stopped.abort();
      hub.stop();
      return await http.close(patienceMs);
    },
  };
}
