/** Reads what `systemd/guard` and `node-agent update --apply` keep of updates: lines of `key=value`, written by root only. */
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { ReleaseMemory } from '../../policy/release-trust.ts';
import type { UpdatePlaces } from './places.ts';

/** A version that has to prove itself. */
export interface PendingUpdate {
  readonly from: string;
  readonly to: string;
  readonly task: string;
  /** One swap: what the agent says of another one does not count. */
  readonly nonce: string;
  readonly attempts: number;
}

/** What became of the last update. */
export interface LastUpdate {
  readonly outcome: 'committed' | 'rolled_back' | 'refused' | 'failed' | 'stuck' | 'went_back';
  readonly version: string;
  readonly from: string;
  readonly task: string;
  readonly nonce: string;
  readonly code: string;
  readonly reason: string;
}

export function readPending({ guarded }: UpdatePlaces): PendingUpdate | undefined {
  const { from = '', to = '', task = '', nonce = '', attempts } = readFacts(join(guarded, 'pending')) ?? {};
  return to === '' ? undefined : { from, to, task, nonce, attempts: numberOf(attempts) };
}

export function readLast({ guarded }: UpdatePlaces): LastUpdate | undefined {
  const facts = readFacts(join(guarded, 'last'));
  if (!facts?.['outcome']) {
    return undefined;
  }
  const { outcome, version = '', from = '', task = '', nonce = '', code = '', reason = '' } = facts;
  return { outcome: outcome as LastUpdate['outcome'], version, from, task, nonce, code, reason };
}

export function readMemory({ guarded }: UpdatePlaces): ReleaseMemory {
  const { seq, floor, keys_seq } = readFacts(join(guarded, 'memory')) ?? {};
  return { seq: numberOf(seq), floor: numberOf(floor), keysSeq: numberOf(keys_seq) };
}

/** Versions that are not wanted on this host, each with the reason. */
export function readSkipped({ guarded }: UpdatePlaces): { readonly version: string; readonly reason: string }[] {
  const lines = readText(join(guarded, 'skipped'))?.split('\n') ?? [];
  return lines.flatMap((line) => {
    const [version = '', ...reason] = line.split(' ');
    return version === '' ? [] : [{ version, reason: reason.join(' ') }];
  });
}

/** The version that a link leads to; undefined where there is none. */
export function readVersionLink({ installed }: UpdatePlaces, name: 'current' | 'previous'): string | undefined {
  try {
    return /^versions\/([^/]+)$/.exec(readlinkSync(join(installed, name)))?.[1];
  } catch (error) {
    return absent(error);
  }
}

/** `seq` of the release that an installed version came with; 0 where it came without one. */
export function readInstalledSeq({ installed }: UpdatePlaces, version: string): number {
  return numberOf(readText(join(installed, 'versions', version, 'seq'))?.trim());
}

function readFacts(file: string): Record<string, string> | undefined {
  const lines = readText(file)?.split('\n');
  return lines && Object.fromEntries(lines.flatMap((line) => (/^(\w+)=(.*)$/.exec(line) ? [splitLine(line)] : [])));
}

function splitLine(line: string): [string, string] {
  const at = line.indexOf('=');
  return [line.slice(0, at), line.slice(at + 1)];
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    return absent(error);
  }
}

function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
    return undefined;
  }
  throw error;
}

function numberOf(text: string | undefined): number {
  return /^\d{1,9}$/.test(text ?? '') ? Number(text) : 0;
}
