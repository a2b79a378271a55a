/** `GET /volumes`: workloads have folders of their user, so the gate makes no volume, and others' are nobody's business. */
import { sendJson } from './answers.ts';
import type { GateCall } from './context.ts';

export async function listVolumes(call: GateCall): Promise<void> {
  sendJson(call.response, 200, { Volumes: [], Warnings: [] });
}
