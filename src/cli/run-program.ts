/** What `node-agent` and `gpuaas` have in common: from a command line to an exit status. */
import { type Command, CommanderError } from 'commander';
import { AgentError } from '../contract/failures.ts';
import { exitCodes } from './exit-codes.ts';
import { reportError } from './output.ts';

/** Runs a command and remembers its exit status; what it throws is told and becomes one. */
export type Carry = (command: () => Promise<number>) => Promise<void>;

/** Carries out one command line (without the program's name) and returns its exit status. */
export async function runProgram(programOf: (carry: Carry) => Command, args: readonly string[]): Promise<number> {
  const wantsJson = args.includes('--json');
  let status: number = exitCodes.ok;
  const program = programOf(async (command) => {
    status = await guarded(wantsJson, command);
  });
  if (wantsJson) {
    silence(program);
  }
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      throw error;
    }
    return error.exitCode === 0 ? exitCodes.ok : unusable(error, wantsJson);
  }
  return status;
}

function silence(command: Command): void {
  command.configureOutput({ writeErr: () => undefined });
  for (const each of command.commands) {
    silence(each);
  }
}

/** Commander has told it already, unless JSON was asked for. */
function unusable({ message, code }: CommanderError, wantsJson: boolean): number {
  if (!wantsJson) {
    return exitCodes.unusable;
  }
  const reason = message.replace(/^error: /, '');
  return reportError(
    new AgentError('command.invalid', { reason: `${reason}.`.replace(/\.\.$/, '.'), rule: code }),
    true,
  );
}

async function guarded(wantsJson: boolean, command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    return reportError(error, wantsJson);
  }
}
