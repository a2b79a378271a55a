/** What is accepted in a manifest and probably not meant, or means less here than where it comes from. */
import { PayloadManifest } from '../../contract/payload-manifest.ts';
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import { type CommandMode, readCommandRules } from '../../policy/promises/command-rules.ts';
import { readNetworkRules } from '../../policy/promises/network-rules.ts';
import { architectureOf } from '../../policy/promises/platforms.ts';

/** Only for a manifest without contradictions. */
export function warnAbout(manifest: PayloadManifest, mode: CommandMode): PathError[] {
  const [commands, network] = [readCommandRules(manifest, mode), readNetworkRules(manifest)];
  const { metadata } = manifest;
  return [
    ...undated(manifest),
    ...(metadata && metadata.version === undefined
      ? [{ path: '/metadata', code: 'published', message: 'has no version, which the published schema asks for' }]
      : []),
    ...aboutPayloads(manifest),
    ...(commands.ok ? commands.warnings : []),
    ...(network.ok ? network.warnings : []),
    ...unknownKeys(manifest, PayloadManifest as Shape, ''),
  ];
}

function undated({ createdAt, expiresAt }: PayloadManifest): PathError[] {
  const refused = 'is missing: hosts whose operators do not accept manifests without an end refuse it';
  return [
    ...(createdAt === undefined
      ? [{ path: '/createdAt', code: 'undated', message: 'is missing: nobody sees its age' }]
      : []),
    ...(expiresAt === undefined ? [{ path: '/expiresAt', code: 'undated', message: refused }] : []),
  ];
}

function aboutPayloads({ payload }: PayloadManifest): PathError[] {
  const nameOf = ({ platform }: PayloadManifest['payload'][number]) =>
    platform ? `${platform.os} ${architectureOf(platform.arch) ?? platform.arch}` : '';
  const names = payload.map(nameOf);
  return payload.flatMap(({ platform }, index) => {
    const path = `/payload/${index}`;
    const isFor = !platform || (platform.os === 'linux' && architectureOf(platform.arch) !== undefined);
    const isHidden = names.slice(0, index).some((name) => name === '' || name === names[index]);
    return [
      ...(isFor
        ? []
        : [
            {
              path: `${path}/platform`,
              code: 'no_host',
              message: 'is of no host: they are linux on x86_64 or aarch64',
            },
          ]),
      ...(isHidden
        ? [{ path, code: 'never_chosen', message: 'is never chosen: one before it is for the same platform' }]
        : []),
    ];
  });
}

/** What is read of a JSON Schema here. */
interface Shape {
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
}

/** Others may be there, and have no meaning. In what is promised nothing should be that is not judged. */
function unknownKeys(value: unknown, shape: Shape | undefined, path: string): PathError[] {
  if (!shape || typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) {
    return value.flatMap((entry, index) => unknownKeys(entry, shape.items, `${path}/${index}`));
  }
  const { properties } = shape;
  if (!properties) return [];
  return Object.entries(value).flatMap(([key, inside]) => {
    const at = `${path}/${pointerToken(key)}`;
    if (Object.hasOwn(properties, key)) return unknownKeys(inside, properties[key], at);
    const meant = Object.keys(properties).find((known) => isAlike(known, key));
    if (meant !== undefined) return [{ path: at, code: 'typo', message: `is not known: ${meant} may be meant` }];
    const isPromise = at.startsWith('/compManifest/');
    return isPromise ? [{ path: at, code: 'ignored', message: 'is not known, and promises nothing here' }] : [];
  });
}

/** But for one or two letters, case and separators. */
function isAlike(known: string, key: string): boolean {
  const [a, b] = [known, key].map((text) => text.toLowerCase().replaceAll(/[_\s-]/g, '')) as [string, string];
  if (Math.abs(a.length - b.length) > 2) return false;
  return distance(a, b) <= (a.length > 4 ? 2 : 1);
}

/** Letters to change, add or leave out. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [above, letter] of [...one].entries()) {
    const next = [above + 1];
    for (let at = 0; at < other.length; at += 1) {
      const changed = (row[at] ?? 0) + (other[at] === letter ? 0 : 1);
      next.push(Math.min(changed, (row[at + 1] ?? 0) + 1, (next[at] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
