/** How something is now, for commands that wait for what becomes of it. */
import { type ControlPlaneClient, isPassing } from './client.ts';

/** A control plane that is away for a while is waited for, as the stream of events does. */
export async function present<T>(client: ControlPlaneClient, path: string, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await client.get<T>(path, {}, signal);
    } catch (error) {
      if (!isPassing(error)) throw error;
    }
  }
}
