/**
 * Fetches an output of a job into a file: beside it first, on behind what an earlier try has left, and into its place once its
 * sha256 is what the control plane says.
 */
import { closeSync, openSync, rmSync, statSync } from 'node:fs';
import { AgentError } from '../../contract/failures.ts';
import type { KeptOutput } from '../../contract/job-outputs.ts';
import { pause } from '../../kit/backoff.ts';
import { moveDurable, writeWhole } from '../../kit/durable.ts';
import { measureFile } from '../../kit/measure-file.ts';
import { type ControlPlaneClient, isPassing } from './client.ts';

export interface Download {
  readonly path: string;
  readonly output: Pick<KeptOutput, 'name' | 'sha256' | 'bytes'>;
  readonly file: string;
  readonly onBytes?: (bytes: number) => void;
  /** For tests. */
  readonly pauseMs?: number;
}

/** Tries in a row that bring nothing. */
const maxIdle = 5;

/** `output.damaged` where what comes is another one, twice. */
export async function download(client: ControlPlaneClient, wanted: Download): Promise<void> {
  const { output, file } = wanted;
  // The name of a part says what of: another output never goes on behind it.
  const part = `${file}.${output.sha256.slice(0, 12)}.part`;
  for (let whole = 0; ; whole += 1) {
    await fetchAll(client, part, wanted);
    const { size, sha256 } = await measureFile(part);
    if (size === output.bytes && sha256 === output.sha256) break;
    rmSync(part, { force: true });
    if (whole > 0) throw new AgentError('output.damaged', { reason: `${output.name} has come as another one, twice.` });
  }
  moveDurable(part, file);
}

async function fetchAll(client: ControlPlaneClient, part: string, wanted: Download): Promise<void> {
  const { output, pauseMs = 1000 } = wanted;
  for (let idle = 0; ; ) {
    const before = sizeOf(part);
    if (before > output.bytes) rmSync(part);
    if (before === output.bytes) return;
    try {
      await fetchRest(client, part, wanted);
      return;
    } catch (error) {
      idle = sizeOf(part) > before ? 1 : idle + 1;
      const isCut = isPassing(error) || !(error instanceof AgentError);
      if (!isCut || isOfDisk(error) || idle > maxIdle) throw error;
      await pause(pauseMs * idle);
    }
  }
}

async function fetchRest(client: ControlPlaneClient, part: string, { path, output, onBytes }: Download): Promise<void> {
  const begun = sizeOf(part);
  const headers = begun > 0 ? { range: `bytes=${begun}-`, 'if-range': `"${output.sha256}"` } : {};
  const answer = await client.answer(path, {}, headers as Record<string, string>);
  const goesOn = answer.status === 206;
  const handle = openSync(part, goesOn ? 'a' : 'w', 0o644);
  let total = goesOn ? begun : 0;
  try {
    for await (const chunk of answer.body ?? []) {
      total += chunk.length;
      if (total > output.bytes) return;
      writeWhole(handle, chunk);
      onBytes?.(total);
    }
  } finally {
    closeSync(handle);
  }
}

function isOfDisk(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'ENOENT', 'EISDIR'].includes(
    (error as NodeJS.ErrnoException).code ?? '',
  );
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
