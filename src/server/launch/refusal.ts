/** Why a launch is not accepted: every reason at once, each with its code and its place in the request. */
import { AgentError, type FailureCode, failures } from '../../contract/failures.ts';

export interface LaunchRefusal {
  readonly code: FailureCode;
  /** JSON pointer into the launch request. */
  readonly path: string;
  readonly message: string;
  readonly hint: string;
}

/** `reason` is one sentence about this case; it stands behind the message of the table. */
export function refusal(code: FailureCode, path: string, reason?: string): LaunchRefusal {
  const { message, hint } = failures[code];
  return { code, path, message: reason === undefined ? message : `${message} ${reason}`, hint };
}

/** The failure of the request: the code of the first reason, with all of them listed. */
export function refused([first, ...more]: readonly LaunchRefusal[]): AgentError {
  if (!first) throw new Error('nothing was refused');
  const others = more.length > 0 ? `${more.length} more in \`errors\`.` : undefined;
  const told = first.message.slice(failures[first.code].message.length).trim();
  const reason = [told, others].filter((part) => part).join(' ');
  return new AgentError(first.code, {
    ...(reason === '' ? {} : { reason }),
    errors: [first, ...more].map((one) => ({ ...one })),
  });
}
