/** `node-agent egress`: the proxy of a job, where it is a part of the single binary. The gate alone starts it, in a container. */
import { runEgress } from '../../egress/main.ts';
import { exitCodes } from '../exit-codes.ts';

export async function runProxy(): Promise<number> {
  await runEgress();
  return exitCodes.ok;
}
