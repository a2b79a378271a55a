/** What every check of a create request gets, and how it says what is wrong. */
import { labels } from '../contract/names.ts';
import type { PathError } from '../contract/validate.ts';
import type { ContainerRequest, ImageFacts } from './container-request.ts';
import type { HostPolicy } from './host-policy.ts';

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
export type CheckContext = Omit<RequestToCheck, 'request'> & { readonly request: ContainerRequest };

export function wrong(path: string, code: string, message: string): PathError[] {
  return [{ path, code, message }];
}

export function unless(fine: boolean, path: string, code: string, message: string): PathError[] {
  return fine ? [] : wrong(path, code, message);
}

export function label({ request }: CheckContext, name: string): string {
  return request.Labels[name] ?? '';
}

/** Undefined for the container of a single one. */
export function serviceOf({ request }: CheckContext): string | undefined {
  return request.Labels[labels.service];
}
