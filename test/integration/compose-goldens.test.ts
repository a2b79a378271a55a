/** What the renderers make is a Compose file: the real Compose says so of every golden one, without a word (G-96). */
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ensureCompose } from '../../bootstrap/dev/compose.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = join(resolve(import.meta.dirname, '../..'), 'fixtures/manifests/gpuaas');
const compose = join(await ensureCompose(), 'docker-compose');
const goldens = globSync('*.compose.yaml', { cwd: folder });

/** What Compose writes to standard error; throws where it refuses the file. */
async function judged(file: string, ...options: string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(compose, ['-f', file, '--project-name', 'gpuaas-golden', 'config', ...options], {
    env: {},
  });
}

describe('docker compose config', () => {
  it('finds the golden files', () => {
    expect(goldens).toContain('vllm-openai.compose.yaml');
    expect(goldens).toContain('smoke-stack.compose.yaml');
  });

  it.each(goldens)('accepts %s without a warning', async (name) => {
    await expect(judged(join(folder, name), '-q')).resolves.toEqual({ stdout: '', stderr: '' });
  });

  it('reads the cards, the key of a mount and the address of a port as they are meant', async () => {
    const { stdout } = await judged(join(folder, 'vllm-openai-two-cards.compose.yaml'), '--format', 'json');

    expect(JSON.parse(stdout).services.vllm).toMatchObject({
      deploy: { resources: { reservations: { devices: [{ capabilities: ['gpu'], count: 2 }] } } },
      ports: [{ host_ip: '127.0.0.1', published: '9000', target: 8000, protocol: 'tcp' }],
      volumes: [{ type: 'volume', source: 'workspace', target: '/workspace' }],
    });
  });

  it('would tell of a variable that nobody set: these files have none', async () => {
    const file = join(temporaryFolder('golden'), 'compose.yaml');
    await writeFile(file, 'services: {a: {image: "x@sha256:0", command: ["$NOBODY_SET_THIS"]}}');

    expect((await judged(file, '-q').catch((error) => error)).stderr).toContain('NOBODY_SET_THIS');
  });
});
