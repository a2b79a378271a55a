/** `gpuaas jobs`: what somebody wants done once. */
import type { Command } from 'commander';
import type { Carry } from '../run-program.ts';
import { withControlPlane } from './carry.ts';
import { group } from './group.ts';
import { addJobOutputCommands } from './job-output-commands.ts';
import { type Column, field } from './things.ts';

export function addJobCommands(program: Command, carry: Carry): void {
  const columns: Column[] = [
    ['ID', field('id')],
    ['NAME', field('name')],
    ['STATE', field('state')],
    ['REASON', field('reason')],
  ];
  const listed = { name: 'jobs', path: '/api/v1/jobs', columns, none: 'No jobs yet.' };
  addJobOutputCommands(group(program, withControlPlane(carry), 'jobs and what was kept of them', listed), carry);
}
