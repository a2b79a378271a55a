/**
 * `gpuaas releases publish DIR`: the papers first, which the control plane judges, then what is missing of the files, in pieces.
 * Safe to repeat: what is there is not sent again, and a file goes on where it was cut.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { pause } from '../../kit/backoff.ts';
import { readManifest, releaseRootOf } from '../../policy/release-trust.ts';
import { tell } from '../output.ts';
import type { ControlPlaneClient } from './client.ts';
import { readReleasePapers, verifyArtifacts, verifyReleaseFolder } from './release-folder.ts';
import type { Item } from './things.ts';

export interface PublishReleaseOptions {
  /** PEM; undefined leaves the signatures to the control plane. */
  readonly root: string | undefined;
  readonly json: boolean;
  /** For tests. */
  readonly pieceBytes?: number;
}

interface Release extends Item {
  readonly version: string;
  readonly complete: boolean;
  readonly files: readonly { readonly name: string; readonly size: number; readonly received: number }[];
}

const path = '/api/v1/releases';
/** Gets through within the time that a request has, also over a slow line. */
const usualPieceBytes = 4 * 1024 ** 2;
/** Pieces in a row that the other side does not want: somebody else sends the same file. */
const maxRefused = 20;
const refusedPauseMs = 500;

export async function publishRelease(client: ControlPlaneClient, folder: string, options: PublishReleaseOptions) {
  const papers = readReleasePapers(folder);
  if (options.root === undefined) await verifyArtifacts(folder, readManifest(papers.manifest).artifacts);
  else await verifyReleaseFolder(folder, releaseRootOf(options.root));
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  let release = await client.change<Release>('POST', path, {
    ...{ manifest: text(papers.manifest), manifest_signature: text(papers.manifestSignature) },
    ...{ keys: text(papers.keys), keys_signature: text(papers.keysSignature) },
  });
  for (const { name } of release.files) {
    release = await sendFile(client, release, join(folder, name), name, options);
  }
  return release;
}

async function sendFile(
  client: ControlPlaneClient,
  before: Release,
  file: string,
  name: string,
  { json, pieceBytes = usualPieceBytes }: PublishReleaseOptions,
): Promise<Release> {
  const address = `${path}/${encodeURIComponent(before.version)}`;
  const first = stateOf(before, name);
  if (first.received === first.size) return before;
  const say = (text: string) => {
    if (!json) tell(text);
  };
  if (first.received > 0) say(`${name} goes on at ${mebibytes(first.received)}`);
  const handle = await open(file);
  try {
    let release = before;
    let refused = 0;
    for (let { received, size } = first; received < size; { received, size } = stateOf(release, name)) {
      try {
        const piece = await pieceOf(handle, received, Math.min(pieceBytes, size - received));
        const to = `${address}/files/${encodeURIComponent(name)}`;
        release = await client.put<Release>(to, piece, { offset: received });
        refused = 0;
      } catch (error) {
        // The answer to a piece was lost, or somebody else sends as well: it goes on behind what is there.
        if (!(error instanceof AgentError) || error.code !== 'resource.conflict' || refused >= maxRefused) throw error;
        refused += 1;
        await pause(refusedPauseMs, undefined);
        release = await client.get<Release>(address);
      }
    }
    say(`${mebibytes(first.size)}  ${name}`);
    return release;
  } finally {
    await handle.close();
  }
}

async function pieceOf(handle: FileHandle, start: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const piece = new Uint8Array(length);
  const { bytesRead } = await handle.read(piece, 0, length, start);
  if (bytesRead === 0) throw new AgentError('file.unusable', { reason: 'A file of the release became shorter.' });
  return piece.subarray(0, bytesRead);
}

function stateOf({ files, version }: Release, name: string) {
  const file = files.find((each) => each.name === name);
  if (!file) throw new AgentError('server.unintelligible', { reason: `It knows no ${name} of ${version}.` });
  return file;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
