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
