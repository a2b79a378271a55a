/** Looks up an account of this host, wherever its accounts are kept. */
import { AgentError } from '../contract/failures.ts';
import { findProgram, searchFolders } from './programs.ts';
import { runProgram } from './run-program.ts';

export interface HostUser {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Asks the name service (so directory accounts are found too); `config.invalid` if there is no such user. */
export async function findUser(name: string): Promise<HostUser> {
  const getent = await findProgram('getent', searchFolders(process.env['PATH']));
  const asked = getent === null ? undefined : await runProgram(getent, ['passwd', name], { timeoutMs: 10_000 });
  const account = asked?.outcome === 'exited' && asked.exitCode === 0 ? asked.stdout : '';
  const [, , uid, gid, , home] = account.split(':');
  if (uid === undefined || gid === undefined || home === undefined) {
    throw new AgentError('config.invalid', {
      reason: `There is no user ${JSON.stringify(name)} on this host.`,
      errors: [{ path: '/allocation/user', code: 'unknown_user', message: 'is not a user of this host' }],
    });
  }
  return { uid: Number(uid), gid: Number(gid), home };
}
