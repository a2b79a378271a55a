/** How a configuration is refused: what is wrong, in words to act on, and which file or variable said it. */
import { AgentError } from '../contract/failures.ts';
import type { PathError } from '../contract/validate.ts';
import { userErrors } from './allocation-user.ts';
import { isObject, type JsonObject } from './config-layers.ts';

/** JSON pointer of each leaf of the configuration → where its value came from. */
export type Sources = Readonly<Record<string, string>>;

export function invalid(errors: readonly PathError[], sources: Sources, file?: string, cause?: unknown): AgentError {
  const sourced = errors.map((error) => withSource(error, sources));
  return new AgentError(
    'config.invalid',
    {
      reason: `${sourced.map(({ path, message }) => `${path || '/'} ${message}`).join('; ')}.`,
      ...(file === undefined ? {} : { file }),
      errors: sourced,
    },
    { cause },
  );
}

/** The smallest file that a host can be run with. */
const smallest = {
  allocation: { id: 'alloc-1', user: 'tenant' },
  registries: [{ host: 'registry.example.com', prefixes: ['curated'] }],
};

/** For a host where nobody has configured anything. */
export function missing(errors: readonly PathError[], sources: Sources, file: string): AgentError {
  const others = errors.filter(({ path }) => path !== '/allocation').map((error) => withSource(error, sources));
  const detail = { reason: `There is no file ${file}.`, file, smallest };
  return new AgentError('config.missing', others.length === 0 ? detail : { ...detail, errors: others });
}

type SourcedError = { path: string; code: string; message: string; source: string | null };

/** With where the value came from, also where only a whole list or object is known; a variable is named in the words. */
function withSource(error: PathError, sources: Sources): SourcedError {
  const parts = error.path.split('/');
  const pointers = parts.map((_part, index) => parts.slice(0, parts.length - index).join('/'));
  const source = pointers.map((pointer) => sources[pointer]).find((each) => each !== undefined) ?? null;
  const message = source?.startsWith('env ') ? `${error.message} (set by ${source.slice(4)})` : error.message;
  return { ...error, message, source };
}

/** What a person should read where the schema's own words say little: several options tried in turn, a pattern. */
export function plainErrors(errors: readonly PathError[], config: JsonObject): PathError[] {
  const userPath = '/allocation/user';
  const user = isObject(config['allocation']) ? config['allocation']['user'] : undefined;
  const isAboutUser = ({ path }: PathError) => path === userPath || path.startsWith(`${userPath}/`);
  const others = errors
    .filter((error) => user === undefined || !isAboutUser(error))
    .map((error) =>
      error.path === '/network_pool' && error.code === 'pattern'
        ? { ...error, message: 'must be a range of /12 to /28 inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16' }
        : error,
    );
  return user !== undefined && errors.some(isAboutUser) ? [...others, ...userErrors(user, userPath)] : others;
}
