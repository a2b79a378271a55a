/** What it means when the system refuses a file or folder of ours: whoever set this host up has something to correct. */
import { AgentError } from '../contract/failures.ts';
import { isDiskFull } from '../kit/disk-full.ts';

const notForUs = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ELOOP', 'EISDIR']);

/** `config.invalid` or `disk.full` with the path; undefined for an error that is of another kind. */
export function readSystemTrouble(error: unknown): AgentError | undefined {
  if (!(error instanceof Error)) {
    return undefined;
  }
  const { code = '', path } = error as NodeJS.ErrnoException;
  if (path !== undefined && notForUs.has(code)) {
    return notUsable(path, code, error);
  }
  return isDiskFull(error)
    ? new AgentError('disk.full', { reason: 'Nothing more can be written.', ...(path && { path }) }, { cause: error })
    : undefined;
}

/** A path that the configuration leads to and this process may not, or cannot, use. */
export function notUsable(path: string, why: string, cause?: unknown): AgentError {
  const reason = `This user cannot use ${path} (${why}): run this as root or as the user whose it is, or set another folder.`;
  return new AgentError('config.invalid', { path, reason }, { cause });
}
