/**
 * Runs a program on a shadow of this host's file system and tells what it wrote.
 *
 * A private mount namespace, and in it an overlay over the root and over every large mount below it: the program sees
 * the host as it is, and each of its writes lands in a folder of the caller's own. What others do meanwhile does not.
 */
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/** $1 work folder, $2 socket to keep reachable or empty, the rest is the program. Prints its output, then `\0`, then what was written. */
const script = `
set -eu
work=$1 socket=$2
shift 2
mount -t tmpfs shadow "$work"
mkdir "$work/root"
shadow() {
  name=$(echo "$1" | tr / _)
  mkdir "$work/upper$name" "$work/work$name"
  mount -t overlay shadow -o "lowerdir=$1,upperdir=$work/upper$name,workdir=$work/work$name" "$work/root$1"
}
shadow /
for place in /run /var /etc /home /root /tmp /usr /opt; do
  if mountpoint -q "$place"; then shadow "$place"; fi
done
for place in /proc /sys /dev; do mount --rbind "$place" "$work/root$place"; done
if ! [ -e "$work/root$PWD/package.json" ]; then mkdir -p "$work/root$PWD"; mount --bind "$PWD" "$work/root$PWD"; fi
if [ -n "$socket" ]; then mount --bind "$socket" "$work/root$socket"; fi
chroot "$work/root" "$@"
printf '\\0'
cd "$work"
find upper* -mindepth 1 | while read -r path; do
  mount=$(echo "\${path%%/*}" | sed 's/^upper_*//')
  if ! [ -d "$path" ] || ! [ -d "/$mount/\${path#*/}" ]; then echo "/$mount/\${path#*/}"; fi
done
`;

export interface ShadowRun {
  readonly stdout: string;
  /** Paths that were created, changed or removed. Folders that were there before are not among them. */
  readonly written: string[];
}

/** `socket` stays the real one: a Unix socket cannot be reached through an overlay. */
export async function onShadow(socket: string | undefined, program: readonly string[]): Promise<ShadowRun> {
  const work = mkdtempSync(join(tmpdir(), 'gpuaas-shadow-'));
  // In that of the machine a program finds what others left behind, and may clear it away.
  const temporary = mkdtempSync(join(tmpdir(), 'gpuaas-tmp-'));
  chmodSync(temporary, 0o1777);
  try {
    const args = ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', work, socket ?? '', ...program];
    const { stdout } = await exec('unshare', args, {
      cwd: join(import.meta.dirname, '../..'),
      timeout: 110_000,
      killSignal: 'SIGKILL',
      env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', HOME: '/root', TMPDIR: temporary },
    });
    const [output = '', written = ''] = stdout.split('\0');
    return { stdout: output, written: written.split('\n').filter((path) => path !== '') };
  } finally {
    for (const folder of [work, temporary]) rmSync(folder, { recursive: true, force: true });
  }
}
