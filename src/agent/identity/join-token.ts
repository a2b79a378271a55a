/** The join token: a secret that comes by file or standard input, never by argument, and is gone once it was used. */
import { readFileSync, rmSync } from 'node:fs';
import { joinTokenPattern } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';

export interface JoinToken {
  readonly id: string;
  readonly secret: string;
  /** Hash of all that the host may trust. */
  readonly pin: string;
}

/** The token in a file, without white space around it. `file.unusable` where the file cannot be read. */
export function readJoinToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    throw new AgentError('file.unusable', { path: file, reason: `It cannot be read: ${code}.` }, { cause: error });
  }
}

/** To be called once the host is enrolled. */
export function removeJoinToken(file: string): void {
  rmSync(file, { force: true });
}

/** `enrolment.token_invalid` for anything else; what it was is not repeated, it may be most of a secret. */
export function parseJoinToken(token: string): JoinToken {
  if (!new RegExp(joinTokenPattern).test(token)) {
    throw new AgentError('enrolment.token_invalid');
  }
  const [id = '', secret = '', pin = ''] = token.split('.');
  return { id, secret, pin };
}
