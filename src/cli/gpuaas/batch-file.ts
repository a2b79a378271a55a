/** The batch of commands that comes beside a computation payload manifest. */
import { readDocument } from '../../agent/read-document.ts';
import { ExeScript } from '../../contract/exe-script.ts';
import { AgentError } from '../../contract/failures.ts';
import { judge } from '../../contract/validate.ts';

/** `file.unusable` for what is no list of commands, with what is wrong with it. */
export async function readBatch(file: string): Promise<ExeScript> {
  return batchIn(file, await readDocument(file, { mayBeQuoted: true }));
}

/** The same of what was read of that file. */
export function batchIn(file: string, batch: unknown): ExeScript {
  const judged = judge(ExeScript, batch);
  if (judged.ok) return judged.value;
  const [first] = judged.errors;
  const more = judged.errors.length > 1 ? ` (and ${judged.errors.length - 1} more)` : '';
  const reason = `${file} is no list of commands: ${first?.path || 'the whole'} ${first?.message}${more}.`;
  throw new AgentError('file.unusable', { reason, file, errors: judged.errors.map((error) => ({ ...error })) });
}
