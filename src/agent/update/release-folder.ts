/** A release that an operator has on a disk. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { releasePapers, releaseVersionPattern } from '../../contract/release.ts';

/** The version that the folder says it has; whether that is true is judged where it is installed. */
export function readReleaseFolder(folder: string): string {
  const file = join(folder, releasePapers.manifest);
  let version: unknown;
  try {
    version = (JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown }).version;
  } catch (cause) {
    throw new AgentError('file.unusable', { reason: `${file} cannot be read as a release.`, file }, { cause });
  }
  if (typeof version !== 'string' || !new RegExp(releaseVersionPattern).test(version)) {
    throw new AgentError('file.unusable', { reason: `${file} names no version.`, file });
  }
  return version;
}
