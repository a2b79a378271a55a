/**
 * Who may see what. What belongs to another project is answered exactly like what does not exist, so that nothing is
 * learnt from asking.
 */
import { AgentError } from '../../contract/failures.ts';
import type { Role } from '../db/entities/project.ts';
import type { Who } from './route.ts';

/** The platform's own people. */
export const platform: readonly Role[] = ['admin', 'operator'];
/** Those who may change what is in a project. */
export const members: readonly Role[] = ['admin', 'operator', 'member'];
export const everybody: readonly Role[] = ['admin', 'operator', 'member', 'viewer'];

export function maySee(who: Who, projectId: string | null): boolean {
  return who.projectId === null || who.projectId === projectId;
}

/** The thing, if there is one and the caller may see it; `resource.not_found` otherwise. */
export function found<T>(what: string, id: string, thing: T | undefined): T {
  if (thing === undefined) {
    throw new AgentError('resource.not_found', { reason: `No ${what} ${JSON.stringify(id)}.` });
  }
  return thing;
}

export function visible<T extends { readonly project_id: string | null }>(
  who: Who,
  what: string,
  id: string,
  thing: T | undefined,
): T {
  return found(what, id, thing && maySee(who, thing.project_id) ? thing : undefined);
}

/** The project that a request is about: the caller's own, or the one that the platform's people name. */
export function projectAsked(who: Who, named: string | undefined): string {
  if (who.projectId !== null && named !== undefined && named !== who.projectId) {
    return found<string>('project', named, undefined);
  }
  const projectId = who.projectId ?? named;
  if (projectId === undefined) {
    throw new AgentError('request.invalid', {
      errors: [{ path: '/project_id', code: 'required', message: 'is missing: this token belongs to no project' }],
    });
  }
  return projectId;
}

/** What a list is narrowed to: the caller's own project, the named one, or all for the platform's people. */
export function projectFilter(who: Who, named: string | undefined): { project_id?: string } {
  if (who.projectId === null && named === undefined) {
    return {};
  }
  return { project_id: projectAsked(who, named) };
}
