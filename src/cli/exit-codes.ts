/** What the exit status of `node-agent` and of `gpuaas` means. Contract: scripts rely on it. */
import type { Failure } from '../contract/failures.ts';

export const exitCodes = {
  /** Done. For `run-task`: the task succeeded. For `doctor`: nothing fails. */
  ok: 0,
  /** The task failed or was cancelled; a check of `doctor` failed; `trust test` says that the manifest is refused. */
  failed: 1,
  /** The command line, the file or the configuration cannot be used; nothing was done. */
  unusable: 2,
  /** The task was refused before anything was done; the control plane refused the request and changed nothing; there is no such thing. */
  rejected: 3,
  /** The control plane cannot be reached (EX_UNAVAILABLE). */
  unreachable: 69,
  /** Another node-agent process is at work, or the command stopped waiting (`--timeout`, Ctrl-C) and it goes on by itself (EX_TEMPFAIL). */
  busy: 75,
  /** `run` and `gate`: the configuration cannot be used. A supervisor must not start it again unchanged (EX_CONFIG). */
  misconfigured: 78,
} as const;

/** What the control plane answers to a request that it refuses, and a host that has no such thing. */
const refusals =
  /^(request|resource|idempotency|launch|instance|artifact|push|revision)\.|^(job\.(invalid|unfit|running)|container\.not_found|logs\.not_found|explain\.unknown)$/;

const busy: ReadonlySet<string> = new Set([
  'agent.busy',
  'command.timed_out',
  'command.interrupted',
  'push.interrupted',
]);

/** The status of a command that ended with a failure. */
export function exitCodeOf({ code, kind }: Failure): number {
  if (busy.has(code)) {
    return exitCodes.busy;
  }
  if (code === 'server.unreachable') {
    return exitCodes.unreachable;
  }
  if (refusals.test(code)) {
    return exitCodes.rejected;
  }
  return kind === 'internal' || kind === 'cancelled' ? exitCodes.failed : exitCodes.unusable;
}
