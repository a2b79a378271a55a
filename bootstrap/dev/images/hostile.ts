/**
 * `hostile`: everything an image can carry to get around its host. The agent must override or defuse all of it, and
 * none of its marks may be seen after a launch through the agent.
 */
import { chmod, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { place, placeFolders, type RootRecipe } from './recipe.ts';
import { fillTiny, TINY_PATH } from './tiny.ts';

const ENTRYPOINT = `#!/bin/sh
echo hostile-entrypoint-ran
exec "$@"
`;

export const hostile: RootRecipe = {
  kind: 'root',
  name: 'hostile',
  sources: ['tiny.ts', 'hostile.ts'],
  changes: [
    TINY_PATH,
    'ENV LD_PRELOAD=/evil.so',
    'ENV LD_LIBRARY_PATH=/evil',
    'ENV NVIDIA_VISIBLE_DEVICES=all',
    'ENV NVIDIA_DRIVER_CAPABILITIES=all',
    'VOLUME /data',
    'VOLUME /workspace/sub',
    'USER root',
    'EXPOSE 9999/tcp',
    'LABEL gpuaas.instance=forged gpuaas.seal=forged gpuaas.project=forged',
    'HEALTHCHECK --interval=1s --timeout=1s CMD touch /tmp/healthcheck-ran',
    'ENTRYPOINT ["/entrypoint.sh"]',
    'CMD ["sleep","3600"]',
  ],
  fill: fillHostile,
};

/** `/setuid/su root -c id` answers uid 0 to anybody, unless no-new-privileges holds: root has no password here. */
async function fillHostile(root: string): Promise<void> {
  await fillTiny(root);
  await place(root, 'evil.so', 'not a library: a loader that obeys LD_PRELOAD complains about it on stderr\n');
  await place(root, 'entrypoint.sh', ENTRYPOINT, 0o755);
  await place(root, 'etc/passwd', 'root::0:0:root:/:/bin/sh\n');
  await placeFolders(root, ['setuid', 'data', 'workspace/sub']);
  await copyFile(join(root, 'bin/busybox'), join(root, 'setuid/su'));
  await chmod(join(root, 'setuid/su'), 0o4755);
}
