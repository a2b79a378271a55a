/** Looks up an account of this host, wherever its accounts are kept. */
import { AgentError } from '../contract/failures.ts';

export interface HostUser {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Asks the name service (so directory accounts are found too); `config.invalid` if there is no such user. */
export async function findUser(name: string): Promise<HostUser> {
  const { execa } = await import('execa');
  const { stdout, exitCode } = await execa('getent', ['passwd', name], { reject: false, timeout: 10_000 });
  const [, , uid, gid, , home] = stdout.split(':');
  if (exitCode !== 0 || uid === undefined || gid === undefined || home === undefined) {
    throw new AgentError('config.invalid', {
      reason: `There is no user ${JSON.stringify(name)} on this host.`,
      errors: [{ path: '/allocation/user', code: 'unknown_user', message: 'is not a user of this host' }],
    });
  }
  return { uid: Number(uid), gid: Number(gid), home };
}
