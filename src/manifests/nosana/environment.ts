/** Environments of a definition. */
import type { PathError } from '../../contract/validate.ts';
import { checkEnvironment } from '../../policy/environment.ts';
import { each } from '../sure-parts.ts';

/** True for the keys of an environment that stand for variables which are known only while the job runs. */
export function isMarker(name: string): boolean {
  return name === '__spread__' || name === '__pairs__';
}

/** What the markers stand for is judged when it is known. */
export function checkEnv(env: Readonly<Record<string, string>>, path: string): readonly PathError[] {
  const written = Object.keys(env).filter((name) => !isMarker(name));
  return each(written, (name) => checkEnvironment({ [name]: env[name] as string }, path));
}
