/** Has the guard of the host change what only root may change. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import type { UpdatePlaces } from './places.ts';

/** The exit status; each line that it says is passed on. `command.invalid` for who is not root. */
export async function runGuard(
  { installed }: UpdatePlaces,
  args: readonly string[],
  onLine: (line: string) => void,
): Promise<number> {
  const guard = join(installed, 'guard');
  if (!existsSync(guard)) {
    throw new AgentError('update.failed', {
      reason: `There is no ${guard}: this agent was not installed by the bootstrap.`,
    });
  }
  if (process.getuid?.() !== 0) {
    throw new AgentError('command.invalid', { reason: 'Only root may do that: run it by sudo.' });
  }
  const { execa } = await import('execa');
  const child = execa(guard, args, { stdin: 'ignore', stdout: 'ignore', reject: false });
  for await (const line of child.iterable({ from: 'stderr' })) {
    onLine(line);
  }
  const { exitCode } = await child;
  return exitCode ?? 1;
}
