/** `node-agent rotate-keys`: new keys for this node now, and not only when the present ones are 30 days old. */
import { exitCodes } from '../exit-codes.ts';
import { askAgent } from '../local-agent.ts';
import { printLine } from '../output.ts';

export async function rotateKeysNow({ config }: { config?: string }): Promise<number> {
  await (await askAgent(config)).ask('/v1/rotate-keys', { body: {} });
  printLine(
    'The keys of this node are replaced. The old identity key ends with the next session: a restart makes one now.',
  );
  return exitCodes.ok;
}
