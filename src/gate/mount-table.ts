/** Reads the kernel's mount tables: `/proc/<pid>/mountinfo`, see proc(5). */

export interface MountEntry {
  readonly id: number;
  readonly parent: number;
  /** `major:minor` of the file system; the same in every mount namespace. */
  readonly device: string;
  /** What of the file system is mounted: a path inside it. */
  readonly root: string;
  /** Where it is mounted, as seen from the root of the process. */
  readonly mountPoint: string;
  /** Options of this mount, for example `ro`. */
  readonly options: readonly string[];
  readonly fsType: string;
  readonly source: string;
}

/** Throws on a line that it cannot read: an unread mount must not pass for none. */
export function parseMountTable(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => (line === '' ? [] : [parseLine(line)]));
}

function parseLine(line: string): MountEntry {
  const [left = '', right] = splitOnce(line, ' - ');
  const [id, parent, device, root, mountPoint, options] = left.split(' ');
  const [fsType, source] = right?.split(' ') ?? [];
  if (!device || root === undefined || !mountPoint || !fsType || options === undefined) {
    throw new Error(`unreadable line in a mount table: ${line.slice(0, 200)}`);
  }
  return {
    id: Number(id),
    parent: Number(parent),
    device,
    root: unescapeOctal(root),
    mountPoint: unescapeOctal(mountPoint),
    options: options.split(','),
    fsType,
    source: unescapeOctal(source ?? ''),
  };
}

/** Place of a path inside the file system it lies on: what a bind mount of it shows as device and root. */
export function placeOf(path: string, mountId: number, table: readonly MountEntry[]): { device: string; root: string } {
  const mount = table.find(({ id }) => id === mountId);
  const base = mount?.mountPoint === '/' ? '' : mount?.mountPoint;
  if (mount === undefined || base === undefined || !(path === base || path.startsWith(`${base}/`))) {
    throw new Error(`no mount ${mountId} above ${path}`);
  }
  const inside = `${mount.root === '/' ? '' : mount.root}${path.slice(base.length)}`;
  return { device: mount.device, root: inside === '' ? '/' : inside };
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** The kernel writes space, tab, newline and backslash as `\` and three octal digits. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
