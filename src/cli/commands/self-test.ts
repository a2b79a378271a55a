/**
 * `node-agent self-test`: whether this very program can work on this host, before anything is trusted to it. Asks for no
 * engine, no network and no state of the host, and leaves nothing behind.
 */
import { createHash, generateKeyPairSync, sign, verify } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { AgentConfig, defaultConfigFile, loadConfig } from '../../agent/config.ts';
import { AgentError } from '../../contract/failures.ts';
import { Release } from '../../contract/release.ts';
import { FromAgent, FromControlPlane } from '../../contract/session-messages.ts';
import { TaskEnvelope, TaskResult } from '../../contract/task-envelope.ts';
import { taskSchemas } from '../../contract/tasks.ts';
import { judge } from '../../contract/validate.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, table } from '../output.ts';
import { oneLine } from '../printable.ts';

interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was seen, or why it is not as it should be. */
  readonly message: string;
  readonly ms: number;
}

/** Does its work and says what was seen. Throws where it does not work. */
type Try = () => string | Promise<string>;

export async function selfTest({ config, json }: { config?: string; json: boolean }): Promise<number> {
  const tries: readonly [string, Try][] = [
    ['program', loadParts],
    ['crypto', tryCrypto],
    ['compression', tryCompression],
    ['journal', tryJournal],
    ['schemas', trySchemas],
    ['config', () => tryConfig(config)],
  ];
  const checks: Check[] = [];
  for (const [name, work] of tries) {
    checks.push(await check(name, work));
  }
  const ok = checks.every((each) => each.ok);
  if (json) {
    printJson({ ok, checks });
  } else {
    printLine(table(checks.map(({ name, ok, message }) => [ok ? 'ok' : 'FAILS', name, oneLine(message)])));
  }
  return ok ? exitCodes.ok : exitCodes.failed;
}

async function check(name: string, work: Try): Promise<Check> {
  const begun = performance.now();
  const outcome = await Promise.resolve()
    .then(work)
    .then(
      (message) => ({ ok: true, message }),
      (error: unknown) => ({ ok: false, message: reasonOf(error) }),
    );
  return { name, ...outcome, ms: Math.round(performance.now() - begun) };
}

/** The code that only the daemons run. */
async function loadParts(): Promise<string> {
  const parts = await Promise.all([import('./run.ts'), import('./gate.ts'), import('../../agent/daemon.ts')]);
  return `${parts.length} parts load`;
}

function tryCrypto(): string {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const text = Buffer.from('self-test');
  const signature = sign(null, text, privateKey);
  const isJudged =
    verify(null, text, publicKey, signature) && !verify(null, Buffer.from('self-tests'), publicKey, signature);
  if (!isJudged) throw new Error('An Ed25519 signature is not judged as it should be.');
  const hash = createHash('sha256').update('abc').digest('hex');
  if (!hash.startsWith('ba7816bf8f01cfea')) throw new Error('sha256 gives another hash than everywhere.');
  return 'Ed25519, sha256';
}

function tryCompression(): string {
  const text = Buffer.alloc(100_000, 'gpuaas');
  if (!gunzipSync(gzipSync(text)).equals(text)) throw new Error('What was packed unpacks to something else.');
  return 'gzip';
}

/** One like the host's, in a folder of its own: made, written, closed and found again. */
async function tryJournal(): Promise<string> {
  const { openJournal } = await import('../../agent/journal/open-journal.ts');
  const stateDir = mkdtempSync(join(tmpdir(), 'gpuaas-self-test-'));
  try {
    const options = { stateDir, reserveBytes: 4096 };
    const first = openJournal(options);
    first.raiseFencing('self-test', 7, 'self-test');
    const { id } = first;
    first.close();
    const again = openJournal(options);
    const found = { id: again.id, fencing: again.fencing('self-test') };
    again.close();
    if (found.id !== id || found.fencing !== 7) throw new Error('The journal does not hold what was written into it.');
    return 'written and read again';
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** They are compiled where they are first used, which would be with the first task. */
function trySchemas(): string {
  const tasks = Object.values(taskSchemas).flatMap(({ params, output }) => [params, output]);
  const schemas = [...tasks, TaskEnvelope, TaskResult, FromAgent, FromControlPlane, AgentConfig, Release];
  for (const schema of schemas) {
    if (judge(schema, 'self-test').ok) throw new Error('A schema accepts what it should not.');
  }
  return `${schemas.length} compile`;
}

async function tryConfig(file = process.env['GPUAAS_AGENT_CONFIG']): Promise<string> {
  if (file === undefined && !existsSync(defaultConfigFile)) return 'this host has none yet';
  await loadConfig(file, process.env);
  return `${file ?? defaultConfigFile} can be used`;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof AgentError)) return (error as Error).message;
  const errors = error.detail['errors'];
  return Array.isArray(errors) ? `${error.message} ${JSON.stringify(errors)}` : error.message;
}
