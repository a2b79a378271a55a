/** What went wrong, what to do next, and the name under which the logs of the control plane know it. */
import type { ComponentChildren } from 'preact';
import type { ListedError } from '../lib/api.ts';
import { Icon } from './icon.tsx';

/** An `ApiError`, or a failure that an instance or a task carries. */
export interface Failing {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly correlationId?: string;
  readonly errors?: readonly ListedError[];
}

export interface FailureViewProps {
  readonly error: Failing;
  /** What could not be done, for example `The nodes cannot be shown.` */
  readonly title?: string;
  /** For example a button that tries again. */
  readonly children?: ComponentChildren;
}

export function FailureView({ error, title, children }: FailureViewProps) {
  const { message, hint, code, correlationId, errors = [] } = error;
  const listed = errors.filter((each) => each.path !== '' || each.message !== message);
  return (
    <div class="failure" role="alert">
      <Icon name="error" class="failure-sign" />
      <div class="failure-text">
        <p class="failure-message">
          {title ? `${title} ` : ''}
          {message}
        </p>
        {listed.length > 0 && (
          <ul>
            {listed.map((each) => (
              <li key={`${each.path}${each.code}${each.message}`}>
                {each.path && <code>{each.path}</code>} {each.message}
                {each.hint && each.hint !== hint && <span class="failure-hint"> {each.hint}</span>}
              </li>
            ))}
          </ul>
        )}
        <p class="failure-hint">{hint}</p>
        <p class="failure-code">
          <code>{code}</code>
          {correlationId && (
            <>
              {' · request '}
              <code>{correlationId}</code>
            </>
          )}
        </p>
        {children}
      </div>
    </div>
  );
}
