import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { waitingProgram } from '../../../src/jobs/waiting-program.ts';

it.each([
  ['x64', 62, '8a713966d7562c3b1356400c744f4759c2fd32f91b90cfe1ef2bc7c172e430c1'],
  ['arm64', 183, '51d726b5157bf6bfcbde4caa7dc010dafa7c2cdb6de1ef0742e76f75d1128d7a'],
] as const)(
  'the program that waits is a static ELF of %s, and the one that was seen to work',
  (architecture, machine, sha256) => {
    const program = waitingProgram(architecture);

    expect(program.toString('latin1', 0, 4)).toBe('\x7fELF');
    expect(program.readUInt16LE(18)).toBe(machine);
    expect(program.length).toBeLessThan(512);
    // Run on a machine, and under an emulator, before it was written down here: it waits, and ends all others with their grace.
    expect(createHash('sha256').update(program).digest('hex')).toBe(sha256);
  },
);
