/** Control plane, gate and agent on an engine of their own, whose host builds projects and runs them under gVisor. */
import { rmSync } from 'node:fs';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { openWire, type Wire, type WireOptions } from './wire-ground.ts';

export interface ProjectWire {
  readonly engine: PrivateEngine;
  readonly wire: Wire;
  /** Ends all of it and removes the folder. */
  close(): Promise<void>;
}

export async function openProjectWire(
  folder: string,
  options: Pick<WireOptions, 'program' | 'withoutProxy' | 'environment'> = {},
): Promise<ProjectWire> {
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rmSync(folder, { recursive: true, force: true }));
  const engine = await startPrivateEngine(folder, { flags: [await gvisorFlag(folder)] });
  undo.defer(() => engine.stop());
  const wire = await openWire({
    ...{ ...options, engineSocket: engine.socketPath, withoutApp: true },
    agentConfig: {
      sandboxes: { runc: 'runc', gvisor: GVISOR_RUNTIME },
      builds: { cpu_cores: 1, memory_gib: 1, context_gib: 0.1 },
    },
  });
  undo.defer(() => wire.close());
  const all = undo.move();
  return { engine, wire, close: () => all.disposeAsync() };
}
