/** `gpuaas jobs verify`: whether receipts are what their nodes signed and follow one another, without asking anybody. */
import { readFileSync } from 'node:fs';
import { AgentError } from '../../contract/failures.ts';
import { type JobReceipt, NodeKeys } from '../../contract/job-receipt.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judge } from '../../contract/validate.ts';
import { measureFile } from '../../kit/measure-file.ts';
import { jobOf } from '../../manifests/job-dialects.ts';
import { documentHash } from '../../manifests/job-secrets.ts';
import { readDocument } from '../../manifests/read-document.ts';
import { judgeReceipts, planHash } from '../../policy/job-receipts.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine } from '../output.ts';
import { oneLine } from '../printable.ts';
import { imageLines } from './receipt-images.ts';

export interface VerifyOptions {
  /** Files of `gpuaas nodes keys`. */
  readonly key: readonly string[];
  readonly allowGaps: boolean;
  /** What the receipt, there may be one only then, says of plan, document and outputs. */
  readonly plan?: string;
  readonly document?: string;
  readonly artifact: readonly (readonly [name: string, file: string])[];
  readonly json: boolean;
}

export async function verifyReceipts(files: readonly string[], options: VerifyOptions): Promise<number> {
  const keys = options.key.map(readKeys);
  const presented = files.map((file) => ({ file, jws: textOf(file) }));
  const verdicts = judgeReceipts(presented, keys, { gaps: options.allowGaps });
  const [only] = verdicts;
  const compares = options.plan !== undefined || options.document !== undefined || options.artifact.length > 0;
  if (compares && verdicts.length !== 1) {
    throw new AgentError('command.invalid', { reason: '--plan, --document and --artifact go with one receipt.' });
  }
  const differences = compares && only?.receipt && only.refusal === null ? await differing(only.receipt, options) : [];
  const isSound = verdicts.every(({ refusal }) => refusal === null) && differences.length === 0;
  if (options.json) {
    printJson({ valid: isSound, receipts: verdicts, differences });
  } else {
    for (const { file, receipt, refusal } of verdicts) {
      printLine(oneLine(`${file}: ${wordsOf(receipt, refusal)}`));
      const images = refusal === null && receipt ? receipt.images : [];
      for (const line of imageLines(images)) printLine(oneLine(`  ${line}`));
    }
    for (const difference of differences) printLine(oneLine(difference));
  }
  return isSound ? exitCodes.ok : exitCodes.failed;
}

function wordsOf(receipt: JobReceipt | undefined, refusal: string | null): string {
  if (refusal !== null || !receipt) return `not to be believed. ${refusal}`;
  const { node_id, number, job_id, state, ended_at } = receipt;
  return `number ${number} of node ${node_id}: job ${job_id} ${state}, ${ended_at ?? 'without an end'}`;
}

async function differing(receipt: JobReceipt, { plan, document, artifact }: VerifyOptions): Promise<string[]> {
  const found: string[] = [];
  if (plan !== undefined && planHash(jsonOf(plan) as object) !== receipt.plan_sha256) {
    found.push(`${plan} is not the plan that was carried out.`);
  }
  if (document !== undefined && hashOfDocument(textOf(document)) !== receipt.document_sha256) {
    found.push(`${document} is not the document that was submitted.`);
  }
  for (const [name, file] of artifact) {
    const { sha256 } = await measureFile(file).catch((error: unknown) => {
      throw unusable(file, error);
    });
    const output = receipt.outputs.find((each) => each.name === name);
    if (output?.sha256 !== sha256) {
      found.push(output ? `${file} is not the output ${name} of the job.` : `The job has no output ${name}.`);
    }
  }
  return found;
}

/** Of what its author has written, or of what the control plane shows of it; undefined where it is no job. */
function hashOfDocument(text: string): string | undefined {
  const read = readDocument(text);
  if (!read.ok) return;
  const shown = read.value as { readonly sha256?: unknown; readonly document?: unknown } | null;
  const document = shown?.sha256 === undefined ? read.value : shown.document;
  const job = jobOf(document);
  return job && documentHash(document, job.hidden);
}

function readKeys(file: string): NodeKeys {
  const judged = judge(NodeKeys, jsonOf(file));
  if (judged.ok) return judged.value;
  throw new AgentError('file.unusable', {
    reason: `${file} holds no keys of a node: gpuaas nodes keys NODE -o FILE.`,
    file,
  });
}

function jsonOf(file: string): unknown {
  const read = readStrictJson(Buffer.from(textOf(file)));
  if (read.ok) return read.value;
  throw new AgentError('file.unusable', { reason: `${file} is not JSON.`, file });
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw unusable(file, error);
  }
}

function unusable(file: string, error: unknown): AgentError {
  const { code = 'error' } = error as NodeJS.ErrnoException;
  return new AgentError('file.unusable', { reason: `${file} cannot be read (${code}).`, file }, { cause: error });
}
