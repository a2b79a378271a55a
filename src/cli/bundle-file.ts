/** Writes a bundle of diagnostics: `.json` as it came, everything else as a `.tar.gz`. For its owner's eyes from the first byte on. */
import { rm, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import type { AgentCollectDiagnosticsOutput } from '../contract/agent-collect-diagnostics.ts';
import { AgentError } from '../contract/failures.ts';

/** `file.unusable` where it cannot be written. What was there is replaced, by a new file with rights of its own. */
export async function writeBundle(file: string, bundle: AgentCollectDiagnosticsOutput): Promise<void> {
  const content = file.endsWith('.json') ? `${JSON.stringify(bundle, null, 1)}\n` : gzipSync(tarOf(bundle));
  try {
    await rm(file, { force: true });
    await writeFile(file, content, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    throw new AgentError('file.unusable', { reason: `${file} cannot be written.` }, { cause });
  }
}

const block = 512;

function tarOf({ collected_at, files, left_out }: AgentCollectDiagnosticsOutput): Buffer {
  const seconds = Math.floor(Date.parse(collected_at) / 1000) || 0;
  const missing = { name: 'left-out.txt', text: left_out.map((line) => `${line}\n`).join('') };
  const parts = [...files, missing].flatMap(({ name, text }) => {
    const bytes = Buffer.from(text);
    const padding = Buffer.alloc((block - (bytes.length % block)) % block);
    return [headerOf(`diagnostics/${name}`, bytes.length, seconds), bytes, padding];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

/** As ustar has it. */
function headerOf(name: string, size: number, seconds: number): Buffer {
  const header = Buffer.alloc(block);
  const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, '0')}\0`;
  const put = (at: number, text: string) => header.write(text, at, 'latin1');
  // Names of a bundle are shorter than this field.
  put(0, name.slice(0, 100));
  put(100, octal(0o600, 8));
  put(108, octal(0, 8));
  put(116, octal(0, 8));
  put(124, octal(size, 12));
  put(136, octal(seconds, 12));
  put(148, '        ');
  put(156, '0');
  put(257, 'ustar\x0000');
  put(
    148,
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      7,
    )} `,
  );
  return header;
}
