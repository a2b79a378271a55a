/** Runs one command line of `gpuaas` in this process, against a control plane of a test. */
import { vi } from 'vitest';
import { gpuaas } from '../../src/cli/gpuaas-main.ts';

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export async function runGpuaas(
  { url, token }: { url: string; token: string },
  words: readonly string[],
): Promise<Ran> {
  const said = { out: [] as string[], err: [] as string[] };
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => said.out.push(String(text)) > 0);
  const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.err.push(String(text)) > 0);
  vi.stubEnv('GPUAAS_URL', url);
  vi.stubEnv('GPUAAS_TOKEN', token);
  try {
    return { status: await gpuaas(words), out: said.out.join(''), err: said.err.join('') };
  } finally {
    vi.unstubAllEnvs();
    out.mockRestore();
    err.mockRestore();
  }
}
