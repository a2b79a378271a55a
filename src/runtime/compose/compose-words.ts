/**
 * The one place where the sentences of Compose are read: it gives neither codes nor the body of an answer, only what it
 * prints. Seen with 2.26; a sentence that nobody knows is `compose.failed`.
 */
import { AgentError, type FailureCode, failures } from '../../contract/failures.ts';
import { redactText } from '../../kit/log.ts';
import { readTrouble } from '../docker/engine-words.ts';

export interface Step {
  readonly container: string;
  readonly step: string;
}

/** ` Container gpuaas-x.web  Started`; undefined for a line that says something else. */
export function readStep(line: string): Step | undefined {
  const [, container, step] = /^\s*Container (\S+)\s+([A-Z][a-z]+)\s*$/.exec(line) ?? [];
  return container === undefined || step === undefined ? undefined : { container, step };
}

/** What it means that Compose has failed. `words` are the last lines that it said, steps left out. */
export function readComposeFailure(words: readonly string[], exitCode: number | null): AgentError {
  const errors = words.filter((line) => !/level=(?:warning|info|debug)/.test(line));
  const reason = redactText(errors.join(' ').trim());
  // Behind its mark is what gate or engine say, with texts of image and document in it: those decide nothing.
  const [own = '', ...answer] = reason.split(answerMark);
  if (isAway(own)) {
    return new AgentError('engine.unavailable', { reason });
  }
  const refusal = readRefusal(answer.join(answerMark));
  if (refusal !== undefined) {
    return refusal;
  }
  const trouble = readTrouble(reason);
  return trouble === undefined
    ? new AgentError('compose.failed', { reason: reason || 'It said nothing.', exit_code: exitCode })
    : new AgentError(trouble.code, { ...trouble.detail });
}

/**
 * True if a container of ours came to be while Compose was at it: what a Compose that was ended had begun at the engine. Names
 * of others are the gate's to refuse, in other words.
 */
export function cameToBeMeanwhile(error: unknown): boolean {
  return (
    error instanceof AgentError &&
    error.code === 'compose.failed' &&
    /container name \S+ is already in use/i.test(String(error.detail['reason']))
  );
}

const answerMark = 'Error response from daemon: ';

function isAway(text: string): boolean {
  return /cannot connect to the docker daemon|error during connect|connection refused|\bEOF\b/i.test(text);
}

/** The gate begins what it says with the message of the failure. */
function readRefusal(answer: string): AgentError | undefined {
  const code = (Object.keys(failures) as FailureCode[]).find((each) => answer.startsWith(failures[each].message));
  return code && new AgentError(code, { reason: answer.slice(failures[code].message.length).trim() });
}
