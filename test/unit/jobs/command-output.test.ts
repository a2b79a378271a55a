import { describe, expect, it } from 'vitest';
import type { CommandReport } from '../../../src/contract/exe-script.ts';
import { maxCapturedBytes } from '../../../src/contract/exe-script.ts';
import { batchBytes, CommandOutput, fitting } from '../../../src/jobs/command-output.ts';

const command = (index: number, text: string): CommandReport => ({
  ...{ index, command: 'run /bin/true', state: 'succeeded', exit_code: 0, message: null, duration_ms: 1 },
  stdout: { text, truncated: false },
});

describe('what is kept of the output of a command', () => {
  it('is its end, channel by channel, in whole characters', () => {
    const output = new CommandOutput();
    output.push('stdout', 'short');
    output.push('stderr', 'ä'.repeat(maxCapturedBytes));
    const { stdout, stderr } = output.captured();

    expect(stdout).toEqual({ text: 'short', truncated: false });
    expect(stderr).toEqual({ text: 'ä'.repeat(maxCapturedBytes / 2), truncated: true });
  });

  it('has no credential in it', () => {
    const output = new CommandOutput();
    output.push('stdout', 'https://me:secret-word@example.org/\n');

    expect(output.captured().stdout?.text).not.toContain('secret-word');
  });

  it('of many commands is cut where it is longest, until all of it fits a report', () => {
    const commands = Array.from({ length: 128 }, (_, index) =>
      command(index, index === 7 ? 'little' : '\u0001'.repeat(maxCapturedBytes)),
    );
    const fit = fitting(commands);

    expect(fit[7]).toEqual(commands[7]);
    expect(fit[8]?.stdout?.truncated).toBe(true);
    const bytes = fit.reduce((sum, { stdout }) => sum + Buffer.byteLength(JSON.stringify(stdout?.text)), 0);
    expect(bytes).toBeLessThan(batchBytes + 1024);
    expect(bytes).toBeGreaterThan(batchBytes * 0.9);
  });
});
