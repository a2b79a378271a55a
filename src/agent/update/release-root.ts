/** The key that releases are believed by, as it was put on the host when it was set up. */
import { readFileSync } from 'node:fs';
import type { IdentityKey } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { releaseRootOf } from '../../policy/release-trust.ts';

/** `update.untrusted` where there is none: without it nothing could be believed. */
export function readReleaseRoot(file: string): IdentityKey {
  try {
    return releaseRootOf(readFileSync(file, 'utf8'));
  } catch (cause) {
    const reason = `There is no release root in ${file}: ${(cause as Error).message}`;
    throw new AgentError('update.untrusted', { reason, path: file }, { cause });
  }
}
