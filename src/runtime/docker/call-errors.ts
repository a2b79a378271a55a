/** Turns what a call to the gate can throw into the one error class of the project. */
import { AgentError, type FailureCode, type FailureDetail, failures, type Json } from '../../contract/failures.ts';
import { isMarkedForRemoval, readTrouble } from './engine-words.ts';
import { AnswerError, isCut } from './transport.ts';

interface CallContext {
  readonly call: string;
  readonly container?: string | undefined;
}

/** Keeps an `AgentError` as it is. What it cannot place is `engine.failed`, with the error as its cause. */
export function toAgentError(error: unknown, socket: string, { call, container }: CallContext): AgentError {
  if (error instanceof AgentError) {
    return error;
  }
  const about = { call, ...(container === undefined ? {} : { container }) };
  if (error instanceof AnswerError) {
    return fromGate(error) ?? fromEngine(error, about);
  }
  const code = (error as NodeJS.ErrnoException).code;
  if (isCut(error) || absentCodes.has(code ?? '')) {
    const denied = { state: 'no_permission', reason: 'This user may not use the socket of the gate.' };
    return new AgentError(
      'engine.unavailable',
      { socket, ...about, ...(code === 'EACCES' ? denied : {}) },
      { cause: error },
    );
  }
  return new AgentError('engine.failed', { ...about, reason: 'Its answer cannot be used.' }, { cause: error });
}

/** The value of a JSON text that came from the engine; `engine.failed` if it is none. */
export function parseAnswer<T>(text: string, call: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new AgentError('engine.failed', { call, reason: 'Its answer is no JSON.' }, { cause: error });
  }
}

/** The promise's value, or undefined where the answer was that there is no such thing. */
export async function orUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof AnswerError && error.status === 404) {
      return undefined;
    }
    throw error;
  }
}

/** True if the call changed nothing because it was so already: started, stopped. */
export function isUnchanged(error: unknown): boolean {
  return error instanceof AnswerError && error.status === 304;
}

const absentCodes = new Set(['ECONNREFUSED', 'ENOENT', 'ENOTSOCK', 'ENOTDIR', 'EACCES']);

/** Undefined unless the gate said which failure it is. */
function fromGate(error: AnswerError): AgentError | undefined {
  const { code, detail, errors } = error.body;
  if (typeof code !== 'string' || !Object.hasOwn(failures, code)) {
    return undefined;
  }
  const facts = detail !== null && typeof detail === 'object' ? (detail as FailureDetail) : {};
  const paths = Array.isArray(errors) ? { errors: errors as Json[] } : {};
  return new AgentError(code as FailureCode, { ...paths, ...facts }, { cause: error });
}

function fromEngine(error: AnswerError, about: FailureDetail): AgentError {
  const { code, detail } = judgeAnswer(error, typeof about['container'] === 'string');
  return new AgentError(code, { ...about, ...detail }, { cause: error });
}

function judgeAnswer(error: AnswerError, aboutContainer: boolean): { code: FailureCode; detail: FailureDetail } {
  const trouble = readTrouble(error.body.message);
  if (trouble !== undefined) {
    return trouble;
  }
  if (aboutContainer && (error.status === 404 || isMarkedForRemoval(error.body.message))) {
    return { code: 'container.not_found', detail: {} };
  }
  return { code: 'engine.failed', detail: { status: error.status, reason: error.body.message } };
}
