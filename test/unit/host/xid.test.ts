import { expect, it } from 'vitest';
import { isDriverLoad, readXid } from '../../../src/host/xid.ts';

it.each([
  ['NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.', 79, '0000:3b:00', 'reboot'],
  [
    'NVRM: Xid (PCI:0000:B4:00): 31, pid=79749, name=exe, Ch 0000000a, intr 00000000. MMU Fault',
    31,
    '0000:b4:00',
    'nothing',
  ],
  ['NVRM: Xid (PCI:0000:10:1c): 63, pid=1896, Row Remapper: New row marked for remapping', 63, '0000:10:1c', 'nothing'],
  ['NVRM: Xid (0000:01:00): 13, 0005 00000000 0000502d 00000104', 13, '0000:01:00', 'nothing'],
  ['NVRM: Xid (PCI:0000:01:00.0): 62, 0096(1c54) 00000000 00000000', 62, '0000:01:00', 'reset'],
  ['NVRM: Xid (PCI:0000:07:00): 94, pid=1, name=python3, Contained: SM (0x1)', 94, '0000:07:00', 'nothing'],
  ['NVRM: Xid (PCI:0000:07:00): 95, pid=1, name=python3, Uncontained: FBHUB', 95, '0000:07:00', 'reset'],
  [
    'NVRM: Xid (PCI:0000:07:00): 119, pid=15041, name=zed, Timeout after 45s of waiting for RPC',
    119,
    '0000:07:00',
    'reset',
  ],
  ['NVRM: Xid (PCI:0000:07:00): 9999', 9999, '0000:07:00', 'nothing'],
])('reads %s', (text, code, slot, needs) => {
  expect(readXid(text)).toMatchObject({ code, slot, needs, settled: false });
});

it.each([
  ['0x0 (None) to 0x1 (GPU Reset Required)', 'reset', false],
  ['0x0 (None) to 0x1 (PF FLR)', 'reset', false],
  ['0x1 (GPU Reset Required) to 0x2 (Node Reboot Required)', 'reboot', false],
  ['0x0 (None) to 0x2 (OS Reboot)', 'reboot', false],
  ['0x0 (None) to 0x4 (Drain and Reset)', 'reset', false],
  ['0x1 (GPU Reset Required) to 0x0 (None)', 'nothing', true],
  ['what nobody has seen yet', 'reset', false],
])("takes the driver's own word for what a card needs: %s", (change, needs, settled) => {
  const text = `NVRM: Xid (PCI:0008:01:00): 154, GPU recovery action changed from ${change}`;

  expect(readXid(text)).toMatchObject({ code: 154, slot: '0008:01:00', needs, settled });
});

it.each([
  'NVRM: GPU at PCI:0000:3b:00: GPU-bc0fa0b9-cac2-f507-b715-9bebdb69c71e',
  'evil: NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.',
  "audit: name='NVRM: Xid (PCI:0000:3b:00): 79, x'",
  'NVRM: Xid (PCI:../../3b:00): 79, x',
  'NVRM: Xid (PCI:0000:3b:00): 79x',
])('takes no other line for one: %s', (text) => {
  expect(readXid(text)).toBeUndefined();
});

it('lets the name of a process neither pretend another number nor steer a terminal', () => {
  const xid = readXid('NVRM: Xid (PCI:0000:07:00): 43, pid=7, name=\u001b[2J): 79, GPU');

  expect(xid).toMatchObject({ code: 43, needs: 'nothing', text: 'pid=7, name= [2J): 79, GPU' });
});

it('knows the line that a driver writes when it is loaded, of either kind of module', () => {
  const closed = 'NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024';
  const open = 'NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build';

  expect([closed, open, 'NVRM: Xid'].map(isDriverLoad)).toEqual([true, true, false]);
});
