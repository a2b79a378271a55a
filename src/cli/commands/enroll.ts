/**
 * `node-agent enroll`: makes this host a node of a control plane.
 *
 * The join token comes from a file or from standard input, never from an argument, which everybody on the host could read.
 * Asking again with the same token gives the same node, so an answer that was lost does no harm.
 */
import { arch, hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import { loadConfig } from '../../agent/config.ts';
import { controlPlaneOrigin } from '../../agent/control-plane/origin.ts';
import { enrol } from '../../agent/identity/enrol.ts';
import { isOpenToOthers, readJoinToken, removeJoinToken } from '../../agent/identity/join-token.ts';
import { readNode } from '../../agent/identity/node-record.ts';
import { lockState } from '../../agent/journal/state-lock.ts';
import { configOfNode } from '../../agent/node-config.ts';
import { readCa } from '../../agent/uplink.ts';
import { AgentError } from '../../contract/failures.ts';
import { osName } from '../../host/os-name.ts';
import { agentVersion } from '../agent-version.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, tell, tellJson } from '../output.ts';

export interface EnrollOptions {
  readonly config?: string;
  readonly json: boolean;
  /** Origin of the control plane; from the configuration if left out, else the one that this host was a node of. */
  readonly url?: string;
  /** PEM of the CA to trust for this call, if not the one that this host has learnt there before; what is trusted later is what the token's pin covers. */
  readonly ca?: string;
  /** True for a copy of another host: with keys of its own. */
  readonly newKeys: boolean;
  /** File with the join token, which is removed once the host is enrolled. `-`: standard input. */
  readonly tokenFile?: string;
}

export async function enroll(options: EnrollOptions): Promise<number> {
  const { tokenFile } = options;
  if (tokenFile === undefined) {
    throw new AgentError('enrolment.token_unreadable', { reason: 'Neither a file nor standard input was named.' });
  }
  const loaded = await loadConfig(options.config, process.env);
  const { config } = loaded;
  const before = readNode(config.state_dir);
  const url = options.url ?? config.control_plane?.url ?? before?.control_plane;
  if (url === undefined) {
    throw new AgentError('command.invalid', { reason: 'Neither --url nor `control_plane.url` says where to enrol.' });
  }
  const caFile = options.ca ?? config.control_plane?.ca_file;
  const knownCa = url === before?.control_plane ? before.ca : '';
  const origin = controlPlaneOrigin(url, caFile === undefined ? knownCa : readCa(caFile));
  const fromStdin = tokenFile === '-';
  const token = fromStdin ? await fromStandardInput() : readJoinToken(tokenFile);
  if (!fromStdin && isOpenToOthers(tokenFile)) {
    warn(`Others on this host can read ${tokenFile}, and so use the token first: \`chmod 600\` the next one.`, options);
  }

  const lock = await lockState(config.state_dir, { owner: 'node-agent enroll', waitMs: 0 });
  try {
    const host = { hostname: hostname(), agent_version: agentVersion, os: await osName(), arch: arch() };
    const node = await enrol({ stateDir: config.state_dir, origin, token, host, newKeys: options.newKeys });
    if (!fromStdin) {
      removeJoinToken(tokenFile);
    }
    // Enrolled, but of no use where the file says something else: said now, and not by a daemon that does not start.
    configOfNode(loaded, node);
    if (options.json) {
      printJson({ node_id: node.node_id, allocation_id: node.allocation_id, control_plane: node.control_plane });
    } else {
      printLine(`This host is node ${node.node_id} of ${node.control_plane}, for allocation ${node.allocation_id}.`);
      printLine('`node-agent run` connects it.');
    }
    return exitCodes.ok;
  } finally {
    lock.release();
  }
}

async function fromStandardInput(): Promise<string> {
  if (process.stdin.isTTY) {
    tell('Paste the join token, then press Enter and Ctrl-D.');
  }
  return (await text(process.stdin)).trim();
}

function warn(message: string, { json }: EnrollOptions): void {
  if (json) tellJson({ type: 'warning', message });
  else tell(`warning: ${message}`);
}
