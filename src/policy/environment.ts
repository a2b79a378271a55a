/**
 * Environment variables a workload may not have, from its task or from its image.
 *
 * A workload may run what it likes inside its container, so most variables are its own business. Not so those that the
 * host's side obeys: the GPU runtime gives cards by the container's variables, and its hooks ran as root on the host
 * with the container's environment (CVE-2025-23266), where the C library does what the listed variables say.
 */
import { pointerToken } from '../contract/pointer.ts';
import type { PathError } from '../contract/validate.ts';

const loader = 'the dynamic loader or C library obeys it, also in hooks of the host';
const device = 'it chooses devices; cards come from `resources.gpu_count` alone';

/**
 * `LD_*` and the rest that the C library itself drops for privileged programs, less what ordinary apps need and what
 * only names a folder (TMPDIR, TZDIR, LOCALDOMAIN, RES_OPTIONS). All of `NVIDIA_*`, and every vendor's
 * `…_VISIBLE_DEVICES`. DOCKER_HOST and its like stay free: they tell a client where to look, and nothing is there.
 */
const forbidden: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: /^LD_/, reason: loader },
  {
    pattern:
      /^(GLIBC_TUNABLES|GCONV_PATH|GETCONF_DIR|LOCPATH|NLSPATH|MALLOC_TRACE|HOSTALIASES|RESOLV_HOST_CONF|NIS_PATH)$/,
    reason: loader,
  },
  { pattern: /^NVIDIA_/, reason: device },
  { pattern: /^([A-Z0-9_]+_)?VISIBLE_DEVICES$/, reason: device },
  { pattern: /^GPU_DEVICE_ORDINAL$/, reason: device },
];

/** Keeps packages out of the persistent workspace: a relaunch starts without them. */
export const noUserSite = { name: 'PYTHONNOUSERSITE', value: '1' } as const;

/**
 * The only NVIDIA variable of a request. Always there unless the engine writes its own for the cards that were asked for by
 * id: where it is missing, old images get all cards.
 */
export const noDevices = 'NVIDIA_VISIBLE_DEVICES=void';

const namePattern = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** Why this host refuses the variable; undefined if it does not. */
export function whyForbidden(name: string): string | undefined {
  return forbidden.find(({ pattern }) => pattern.test(name))?.reason;
}

/** Every variable of a task that is refused, with its path below `path`. Values are never repeated. */
export function checkEnvironment(env: Readonly<Record<string, string>>, path: string): PathError[] {
  return Object.entries(env).flatMap(([name, value]) => {
    const error = judgeVariable(name, value);
    return error ? [{ path: `${path}/${pointerToken(name)}`, ...error }] : [];
  });
}

function judgeVariable(name: string, value: string): Omit<PathError, 'path'> | undefined {
  // An object key of this name changes the object instead of becoming part of it.
  if (!namePattern.test(name) || name === '__proto__') {
    return { code: 'malformed_name', message: 'must be a name of letters, digits and `_`, not beginning with a digit' };
  }
  if (value.includes('\0')) {
    return { code: 'malformed_value', message: 'must not hold a NUL character' };
  }
  const reason = whyForbidden(name);
  if (reason !== undefined) {
    return { code: 'forbidden_variable', message: `must not be set: ${reason}` };
  }
  return name === noUserSite.name && value !== noUserSite.value
    ? { code: 'reserved_variable', message: `is always ${noUserSite.value} here` }
    : undefined;
}

/** Name of an `Env` entry as the engine reads it: all up to the first `=`, or the whole of it. */
export function nameOf(entry: string): string {
  const end = entry.indexOf('=');
  return end < 0 ? entry : entry.slice(0, end);
}

/**
 * What must follow in a request's `Env` so that the forbidden variables of the image vanish: a bare name removes what
 * the image set. Entries with an empty name are harmless and cannot be removed; ones with NUL are for
 * `describeBadImageEnv` to refuse. `engineNames`: the engine itself writes which cards the container sees.
 */
export function neutralised(imageEnv: readonly string[], { engineNames = false } = {}): string[] {
  const names = new Set(imageEnv.map(nameOf).filter((name) => whyForbidden(name) !== undefined));
  if (engineNames) {
    return [...names].sort();
  }
  names.delete(nameOf(noDevices));
  return [...[...names].sort(), noDevices];
}

/** Sentences about entries of the image's environment that could mean something else behind the engine's back. */
export function describeBadImageEnv(imageEnv: readonly string[]): string[] {
  return imageEnv.flatMap((entry, index) =>
    entry.includes('\0') ? [`variable ${index} of the image holds a NUL character`] : [],
  );
}
