/** `node-agent drain`: no new work from now on; what runs goes on. */
import type { AgentStatus } from '../../agent/local-api/agent-status.ts';
import { exitCodes } from '../exit-codes.ts';
import { askAgent } from '../local-agent.ts';
import { printJson, printLine } from '../output.ts';

interface DrainOptions {
  readonly config?: string;
  readonly json: boolean;
  /** Takes work again. */
  readonly off: boolean;
}

const ways: Readonly<Record<AgentStatus['drained_by'][number], string>> = {
  host: '`node-agent drain --off`',
  control_plane: '`gpuaas nodes drain NODE --off`, on the side of the control plane',
};

/** What whoever drains has to do to take work again. */
export function howItEnds(by: AgentStatus['drained_by']): string {
  return `${by.map((each) => ways[each]).join(' and ')} ${by.length > 1 ? 'take' : 'takes'} work again`;
}

export async function drain({ config, json, off }: DrainOptions): Promise<number> {
  const status = await (await askAgent(config)).ask<AgentStatus>('/v1/drain', { body: { on: !off } });
  if (json) {
    printJson(status);
  } else if (status.draining) {
    const { running, waiting } = status.tasks;
    printLine(`Draining: no new work is taken. ${running + waiting} tasks are still at work or waiting.`);
    printLine(`Workloads run on. ${howItEnds(status.drained_by)}.`);
  } else {
    printLine('New work is taken.');
  }
  return exitCodes.ok;
}
