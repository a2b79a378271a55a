/**
 * `python`: Debian with Python, and the virtual environment that a curated image promises: its `python` comes first,
 * it sees Debian's packages, and whoever the container runs as may install into it.
 */
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../processes.ts';
import { fillDebian } from './debian.ts';
import type { RootRecipe } from './recipe.ts';

export const python: RootRecipe = {
  kind: 'root',
  name: 'python',
  sources: ['debian.ts', 'python.ts', 'python.sh'],
  changes: [
    'ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'ENV VIRTUAL_ENV=/opt/venv',
    'ENV PYTHONNOUSERSITE=1',
    'ENV PIP_DISABLE_PIP_VERSION_CHECK=1',
    'ENV LANG=C.UTF-8',
    'ENV HOME=/workspace',
    'WORKDIR /workspace',
    'USER 1000:1000',
    'CMD ["python"]',
  ],
  fill: fillPython,
};

async function fillPython(root: string): Promise<void> {
  await fillDebian(root, ['python3', 'python3-venv', 'ca-certificates']);
  await copyFile(join(import.meta.dirname, 'python.sh'), join(root, 'python.sh'));
  await run('chroot', [root, '/bin/sh', '/python.sh'], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' },
  });
  await rm(join(root, 'python.sh'));
}
