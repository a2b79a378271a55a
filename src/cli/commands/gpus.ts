/** `node-agent gpus`: the cards of this host, how they are and who has them. */
import { loadConfig } from '../../agent/config.ts';
import type { HostCards } from '../../agent/local-api/agent-status.ts';
import type { Gpu } from '../../contract/gpus.ts';
import { probeGpus } from '../../host/gpus.ts';
import { exitCodes } from '../exit-codes.ts';
import { agentIfThere, askAgent } from '../local-agent.ts';
import { printJson, printLine, table, tell } from '../output.ts';
import { oneLine } from '../printable.ts';

interface GpusOptions {
  readonly config?: string;
  readonly json: boolean;
}

/** By the daemon where one runs, else as the drivers tell: who holds a card, and what was quarantined, it alone knows. */
export async function listGpus({ config, json }: GpusOptions): Promise<number> {
  const agent = await agentIfThere((await loadConfig(config, process.env)).config);
  if (agent !== undefined) {
    show(await agent.ask<HostCards>('/v1/gpus'), json);
    return exitCodes.ok;
  }
  const { gpus, drivers } = await probeGpus({ path: process.env['PATH'], signal: AbortSignal.timeout(60_000) });
  show({ gpus: [...gpus], hears_kernel: true }, json);
  for (const { reason } of drivers) {
    if (reason !== null) {
      tell(reason);
    }
  }
  tell('No daemon runs here: who holds a card, and what is quarantined, is not known.');
  return exitCodes.ok;
}

/** Somebody has seen to the card: it can be leased again, or is given up where it is gone. */
export async function clearGpu(uuid: string | undefined, { config, json }: GpusOptions): Promise<number> {
  show(await (await askAgent(config)).ask<HostCards>('/v1/gpus/clear', { body: { uuid } }), json);
  return exitCodes.ok;
}

function show(cards: HostCards, json: boolean): void {
  if (json) {
    printJson(cards);
    return;
  }
  printLine(describeGpus(cards.gpus));
  if (!cards.hears_kernel) {
    tell("The kernel's log cannot be read here: Xid errors of a card go unheard (`kernel_log` in docs/operators.md).");
  }
}

/** As text. */
export function describeGpus(gpus: readonly Gpu[]): string {
  if (gpus.length === 0) {
    return 'No cards.';
  }
  const rows = gpus.map(({ uuid, name, memory_mib, pci_address, health, held_by }) => [
    ...[uuid, oneLine(name), `${(memory_mib / 1024).toFixed(0)} GiB`, pci_address ?? '-', health, held_by ?? 'free'],
  ]);
  const reasons = gpus.flatMap(({ uuid, reason }) => (reason === null ? [] : [`${uuid}: ${oneLine(reason)}`]));
  return [
    table([['CARD', 'NAME', 'MEMORY', 'ADDRESS', 'HEALTH', 'HELD BY'], ...rows]),
    ...(reasons.length > 0 ? ['', ...reasons] : []),
  ].join('\n');
}
