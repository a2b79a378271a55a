/** Runs what a command does, with the control plane at hand. */
import { exitCodes } from '../exit-codes.ts';
import type { Carry as CarryCommand } from '../run-program.ts';
import type { ControlPlaneClient } from './client.ts';
import { connect } from './connection.ts';

/** A number that `work` resolves to is the exit status; anything else stands for success. */
export type Carry = (work: (client: ControlPlaneClient) => Promise<unknown>) => Promise<void>;

export function withControlPlane(carry: CarryCommand): Carry {
  return (work) =>
    carry(async () => {
      const status = await work(connect());
      return typeof status === 'number' ? status : exitCodes.ok;
    });
}
