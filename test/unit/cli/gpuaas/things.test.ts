import { afterEach, expect, it, vi } from 'vitest';
import { printItem } from '../../../../src/cli/gpuaas/things.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

it('shows what a host calls itself on one line, harmless for a terminal', () => {
  let shown = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    shown += String(text);
    return true;
  });

  printItem({ name: 'host\nstatus  enrolled\u001b[2J', status: 'quarantined' }, { json: false });

  expect(shown).toBe('name    host\\nstatus  enrolled\\x1b[2J\nstatus  quarantined\n');
});

it('shows what has parts in words, a line for each of a list, and no JSON', () => {
  let shown = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    shown += String(text);
    return true;
  });
  const digest = 'sha256:a';

  printItem(
    {
      promotions: [
        { channel: 'dev', digest, at: '1' },
        { channel: 'prod', digest, at: '2' },
      ],
      verification: { at: '3', message: 'The registry has it.\nstatus  forged' },
      provenance: { source: 'https://x', revision: null, builder: null },
      lock: { channel: 'prod', artifacts: { 'runtime-cpu': { artifact_id: 'a1', digest } } },
      ...{ shape: {}, endings: [], platform_digest: null, launchable: true },
    },
    { json: false },
  );

  expect(shown.trimEnd().split('\n')).toEqual([
    'promotions       channel dev, digest sha256:a, at 1',
    '                 channel prod, digest sha256:a, at 2',
    'verification     at 3, message The registry has it.\\nstatus  forged',
    'provenance       source https://x',
    'lock             channel prod',
    '                 artifacts: runtime-cpu: artifact id a1, digest sha256:a',
    'shape            -',
    'endings          -',
    'platform digest  -',
    'launchable       yes',
  ]);
});
