/** `gpuaas jobs artifacts`, `receipt` and `verify`: what was kept of a job, and what its node has signed about it. */
import { once } from 'node:events';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { AgentError } from '../../contract/failures.ts';
import type { KeptOutput } from '../../contract/job-outputs.ts';
import { printJson, printLine, table, tell, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { Carry } from '../run-program.ts';
import { withControlPlane } from './carry.ts';
import type { ControlPlaneClient } from './client.ts';
import type { Download } from './download.ts';
import { jobPath } from './job-path.ts';
import { json } from './options.ts';

type Listed = KeptOutput & { readonly state: string; readonly reason: string | null };

export function addJobOutputCommands(jobs: Command, carry: Carry): void {
  const asking = withControlPlane(carry);
  jobs
    .command('artifacts <job> [name]')
    .description('list what was kept of a job, or fetch one of it; interrupted, it goes on where it was')
    .option('-o, --output <file>', 'where it goes; - is standard output (default: its name)')
    .option(...json)
    .action((job: string, name: string | undefined, options) =>
      asking((client) => (name === undefined ? list(client, job, options) : fetchOne(client, job, name, options))),
    );
  jobs
    .command('receipt <job>')
    .description('print what the node of a job has signed about it, or write it into a file')
    .option('-o, --output <file>', 'where it goes; - is standard output')
    .option(...json)
    .action((job: string, options) => asking((client) => receipt(client, job, options)));
  jobs
    .command('verify <files...>')
    .description('say whether receipts are what their nodes signed, and follow one another; needs no control plane')
    .requiredOption('--key <files...>', 'keys of their nodes, as gpuaas nodes keys writes them')
    .option('--allow-gaps', 'receipts may be missing between them, as those of other projects are', false)
    .option('--plan <file>', 'of one receipt: the plan that was carried out')
    .option('--document <file>', 'of one receipt: the document that was submitted')
    .option('--artifact <name=file>', 'of one receipt: an output of the job', collectPair, [])
    .option(...json)
    .action((files: string[], options) =>
      carry(async () => {
        const { verifyReceipts } = await import('./verify-receipts.ts');
        return await verifyReceipts(files, options);
      }),
    );
}

async function list(client: ControlPlaneClient, job: string, options: { readonly json: boolean }): Promise<void> {
  const { items } = await client.get<{ items: Listed[] }>(pathOf(job));
  if (options.json) {
    printJson({ items });
  } else if (items.length === 0) {
    tell('Nothing was kept of it yet.');
  } else {
    const rows = items.map(({ name, kind, state, bytes, sha256, reason }) =>
      [name, kind, state, String(bytes), sha256, reason ?? ''].map(oneLine),
    );
    printLine(table([['NAME', 'KIND', 'STATE', 'BYTES', 'SHA256', ''], ...rows]));
  }
}

interface FetchOptions {
  readonly output?: string;
  readonly json: boolean;
}

async function fetchOne(client: ControlPlaneClient, job: string, asked: string, options: FetchOptions): Promise<void> {
  const { items } = await client.get<{ items: Listed[] }>(`${pathOf(job)}?name=${encodeURIComponent(asked)}`);
  const [output] = items;
  if (output?.state !== 'stored') {
    const there = output
      ? `${output.name} is ${output.state === 'pending' ? 'on its way from its node' : output.state}`
      : `It has no output ${JSON.stringify(asked)}; gpuaas jobs artifacts ${job} lists them`;
    throw new AgentError('resource.not_found', { reason: `${there}${output?.reason ? `: ${output.reason}` : '.'}` });
  }
  const { name } = output;
  // Never by a name of the job's own: that is a stranger's.
  const file = options.output ?? (output.media_type === 'application/x-tar' ? `${name}.tar` : name);
  const path = `${pathOf(job)}/${encodeURIComponent(name)}`;
  const facts = { name, sha256: output.sha256, bytes: output.bytes };
  if (file === '-') {
    await printOutput(client, { path, output });
    if (options.json) tellJson(facts);
    return;
  }
  const { download } = await import('./download.ts');
  await download(client, { path, output, file });
  if (options.json) printJson({ file, ...facts });
  else printLine(`${output.bytes} bytes in ${file}, sha256 ${output.sha256}`);
}

/** Nothing of it is printed before all of it is here and is what was announced. */
async function printOutput(client: ControlPlaneClient, wanted: Omit<Download, 'file'>): Promise<void> {
  const { download } = await import('./download.ts');
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-'));
  try {
    const file = join(folder, 'output');
    await download(client, { ...wanted, file });
    for await (const chunk of createReadStream(file)) {
      if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
    }
  } catch (error) {
    // The reader has seen enough.
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function receipt(client: ControlPlaneClient, job: string, options: FetchOptions): Promise<void> {
  const { json: isJson } = options;
  const output = options.output === '-' ? undefined : options.output;
  const { receipt: jws } = await client.get<{ receipt: string | null }>(jobPath(job));
  if (jws === null)
    throw new AgentError('resource.not_found', { reason: 'It has no receipt: its node signs one at its end.' });
  if (output !== undefined) writeFileSync(output, `${jws}\n`);
  const said: unknown = JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString());
  if (isJson) printJson({ receipt: jws, said, ...(output === undefined ? {} : { file: output }) });
  else
    printLine(
      output === undefined ? jws : `Receipt in ${output}; gpuaas jobs verify looks whether it is to be believed.`,
    );
}

function pathOf(job: string): string {
  return `${jobPath(job)}/artifacts`;
}

function collectPair(text: string, before: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  const [, name, file] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || file === undefined) throw new InvalidArgumentError('It must be NAME=FILE.');
  return [...before, [name, file]];
}
