/** Has a new version say whether it can work on this host, before anything depends on it. */
import { AgentError } from '../../contract/failures.ts';

const withinMs = 30_000;

/** As the user that it will run as. Throws `update.unfit`. */
export async function selfTest(program: string, { uid, gid }: { readonly uid: number; readonly gid: number }) {
  const { execa } = await import('execa');
  const user = process.getuid?.() === 0 ? { uid, gid } : {};
  const { failed, timedOut, exitCode, all } = await execa(program, ['self-test'], {
    ...user,
    ...{ cwd: '/', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, extendEnv: false, stdin: 'ignore', all: true },
    ...{ reject: false, timeout: withinMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 },
  });
  if (failed) {
    const reason = timedOut ? 'Its self-test did not end.' : `Its self-test ended with ${exitCode ?? 'a signal'}.`;
    throw new AgentError('update.unfit', { reason, excerpt: String(all ?? '').slice(-2000) });
  }
}
