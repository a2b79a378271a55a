/** A batch of commands in a file: what is carried out under a computation payload manifest. */
import { ExeScript } from '../../contract/exe-script.ts';
import { AgentError } from '../../contract/failures.ts';
import { judge } from '../../contract/validate.ts';

/** What was read of that file; `file.unusable` for what is no list of commands, with what is wrong with it. */
export function batchIn(file: string, batch: unknown): ExeScript {
  const judged = judge(ExeScript, batch);
  if (judged.ok) return judged.value;
  const [first] = judged.errors;
  const more = judged.errors.length > 1 ? ` (and ${judged.errors.length - 1} more)` : '';
  const reason = `${file} is no list of commands: ${first?.path || 'the whole'} ${first?.message}${more}.`;
  throw new AgentError('file.unusable', { reason, file, errors: judged.errors.map((error) => ({ ...error })) });
}
