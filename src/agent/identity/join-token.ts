/** The join token: a secret that comes by file or standard input, never by argument, and is gone once it was used. */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { joinTokenPattern } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';

export interface JoinToken {
  readonly id: string;
  readonly secret: string;
  /** Hash of all that the host may trust. */
  readonly pin: string;
}

/** The token in a file, without white space around it. `enrolment.token_unreadable` where the file cannot be read. */
export function readJoinToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    const reason = whyUnreadable[code]?.(file) ?? `${file} cannot be read (${code}).`;
    throw new AgentError('enrolment.token_unreadable', { reason }, { cause: error });
  }
}

const whyUnreadable: Readonly<Record<string, (file: string) => string>> = {
  ENOENT: (file) => `There is no file ${file}.`,
  EACCES: (file) => `This user may not read ${file}; be its owner, or use sudo.`,
  EISDIR: (file) => `${file} is a folder.`,
};

/** True where others than its owner may read it: whoever does can enrol another host in place of this one. */
export function isOpenToOthers(file: string): boolean {
  return (statSync(file).mode & 0o044) !== 0;
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
