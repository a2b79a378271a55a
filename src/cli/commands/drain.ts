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

export async function drain({ config, json, off }: DrainOptions): Promise<number> {
  const status = await (await askAgent(config)).ask<AgentStatus>('/v1/drain', { body: { on: !off } });
  if (json) {
    printJson(status);
  } else if (status.draining) {
    const { running, waiting } = status.tasks;
    printLine(`Draining: no new work is taken. ${running + waiting} tasks are still at work or waiting.`);
    printLine('Workloads run on. `node-agent drain --off` takes work again.');
  } else {
    printLine('New work is taken.');
  }
  return exitCodes.ok;
}
