/** A receipt as a page reads it. Nothing is verified here: that is for a program that does not come from who is to be checked. */
import type { JobReceipt } from '../../../contract/job-receipt.ts';

/** What the node says; undefined where it is no receipt that can be read. */
export function readReceipt(jws: string): JobReceipt | undefined {
  try {
    const bytes = Uint8Array.from(
      atob((jws.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')),
      (character) => character.charCodeAt(0),
    );
    const said: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof said === 'object' && said !== null ? (said as JobReceipt) : undefined;
  } catch {
    return undefined;
  }
}

/** What verifies it, offline. */
export function verifyCommands(job: { readonly id: string; readonly node_id: string | null }): string[] {
  return [
    `gpuaas jobs receipt ${job.id} -o ${job.id}.receipt`,
    `gpuaas nodes keys ${job.node_id ?? 'NODE'} -o node-keys.json`,
    `gpuaas jobs verify ${job.id}.receipt --key node-keys.json`,
  ];
}
