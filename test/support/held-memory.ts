/** What a process really holds. Its resident set says something else: what the allocator has not given back yet. */
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { WebSocket } from 'ws';
import type { AgentProcessOptions, RunningTask } from './run-task-process.ts';

/** Bytes in the heap and in buffers beside it that are still reachable: garbage is collected first. */
export async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  // Twice, with a turn of the loop before each: what the first frees may be what kept something else alive.
  for (let round = 0; round < 2; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    gc();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Options of a process that {@link heldBytesOf} can ask. */
export const inspectable: AgentProcessOptions = {
  env: { ...process.env, NODE_OPTIONS: '--inspect=127.0.0.1:0' },
};

/** The same of another process, which was started as {@link inspectable}. */
export async function heldBytesOf(running: RunningTask): Promise<number> {
  const [, address = ''] = await running.saw(/Debugger listening on (ws:\S+)/);
  const socket = new WebSocket(address);
  await once(socket, 'open');
  let id = 0;
  const ask = async (method: string): Promise<HeapUsage> => {
    id += 1;
    socket.send(JSON.stringify({ id, method }));
    for (;;) {
      const [data] = (await once(socket, 'message')) as [Buffer];
      const answer = JSON.parse(data.toString()) as { id?: number; result: HeapUsage };
      if (answer.id === id) {
        return answer.result;
      }
    }
  };
  await ask('HeapProfiler.collectGarbage');
  await ask('HeapProfiler.collectGarbage');
  const { usedSize, backingStorageSize } = await ask('Runtime.getHeapUsage');
  socket.close();
  return usedSize + backingStorageSize;
}

/** Bytes, as the inspector tells them. */
interface HeapUsage {
  readonly usedSize: number;
  /** Of buffers outside the heap. */
  readonly backingStorageSize: number;
}
