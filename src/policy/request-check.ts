/** What every check of a create request gets, and how it says what is wrong. */
import { labels } from '../contract/names.ts';
import type { PathError } from '../contract/validate.ts';
import type { ContainerRequest, ImageFacts } from './container-request.ts';
import type { HostPolicy } from './host-policy.ts';
import type { AnyContainerRequest, JobContainerRequest } from './job-request.ts';

export interface RequestToCheck {
  /** Name the container is to have. */
  readonly name: string;
  readonly request: unknown;
  /** The gate's own, never one that came with the request. */
  readonly policy: HostPolicy;
  /** What the engine says about the image that the request names. */
  readonly image: ImageFacts;
}

/** The same with a request that the schema has let through. */
export type CheckContext = ContextOf<ContainerRequest>;
export type JobContext = ContextOf<JobContainerRequest>;
export type AnyContext = ContextOf<AnyContainerRequest>;
type ContextOf<R> = Omit<RequestToCheck, 'request'> & { readonly request: R };

export function wrong(path: string, code: string, message: string): PathError[] {
  return [{ path, code, message }];
}

export function unless(fine: boolean, path: string, code: string, message: string): PathError[] {
  return fine ? [] : wrong(path, code, message);
}

export function label({ request }: AnyContext, name: string): string {
  return request.Labels[name] ?? '';
}

/** Undefined for the container of a single one. */
export function serviceOf({ request }: AnyContext): string | undefined {
  return request.Labels[labels.service];
}
