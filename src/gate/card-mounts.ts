/**
 * What NVIDIA's toolkit mounts into a container that has a card: files of the host's driver, device files, and what the
 * driver tells below /proc. None of it is in the request; a hook of the engine does it at the start.
 *
 * The toolkit runs as root on the host and follows what the image holds, which it has been tricked by more than once
 * (CVE-2024-0132 showed a container the whole file system of its host). So only these are explained, file by file: read-only,
 * under the name they have on the host, at a place of a driver. Anything else is a reason to kill, with a card as without.
 */
import { basename } from 'node:path';
import type { MountEntry } from './mount-table.ts';

/** Directories that hold parts of the driver, with names that nothing else has. Links of the image are resolved: no `/usr` in some. */
const driverFile =
  /^\/(?:usr\/)?(?:(?:local\/nvidia\/)?(?:s?bin|lib|lib32|lib64|share)\/|local\/lib\/|etc\/(?:vulkan|nvidia|OpenCL)\/)(?:[^/]+\/)*(?:[^/]*nvidia[^/]*|lib(?:cuda|nv)[^/]*|nvoptix\.bin|gsp[a-z0-9_]*\.bin)$/;
const deviceFile = /^\/dev(\/nvidia[a-z0-9-]*|\/nvidia-caps(?:-imex-channels)?\/[a-z0-9-]+)$/;
const socket = /^\/(?:var\/)?run\/nvidia-(?:persistenced|fabricmanager)\/socket$/;
/** Where newer toolkits write the parameters of the driver that the container sees: empty but for that file. */
const scratch = /^\/run\/nvidia-ctk-hook\/[0-9a-f-]{36}$/;
const ofTheDriver = /^\/proc(\/driver\/nvidia\/gpus\/[0-9a-f:.]+)$/;

/** True for a mount of the toolkit, in a container that has a card. */
export function isCardMount({ mountPoint, root, options, fsType }: MountEntry): boolean {
  if (mountPoint === '/proc/driver/nvidia' || mountPoint === '/proc/driver/nvidia/params') {
    return fsType === 'tmpfs';
  }
  if (scratch.test(mountPoint)) {
    return fsType === 'tmpfs' && root === '/';
  }
  const [, device] = deviceFile.exec(mountPoint) ?? [];
  if (device !== undefined) {
    return ['devtmpfs', 'tmpfs'].includes(fsType) && root === device;
  }
  const [, told] = ofTheDriver.exec(mountPoint) ?? [];
  if (told !== undefined) {
    return fsType === 'proc' && root === told;
  }
  const isSame = basename(root) === basename(mountPoint);
  return isSame && (socket.test(mountPoint) || (driverFile.test(mountPoint) && options.includes('ro')));
}
