/**
 * What NVIDIA's driver writes into the kernel's log about its cards: `NVRM: Xid (PCI:0000:3b:00): 79, pid=…, …`.
 *
 * What a number means for the card is NVIDIA's word, from the immediate action of the Xid catalog
 * (https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html): RESTART_APP and IGNORE leave the card usable,
 * RESET_GPU and the workflows that end in a reset do not until it was reset, RESTART_BM not until the host was rebooted.
 */
import { quoted } from './ask-driver.ts';

/** What brings a card back: nothing is needed, a reset of the card (or more), a reboot of the host. */
export type XidNeeds = 'nothing' | 'reset' | 'reboot';

export interface Xid {
  readonly code: number;
  /** Domain, bus and slot of the card: `0000:3b:00`. */
  readonly slot: string;
  readonly needs: XidNeeds;
  /** The driver says that nothing is needed any more, whatever was said before of this card. */
  readonly settled: boolean;
  /** What the number means, in a few words. */
  readonly meaning: string;
  /** What the driver wrote behind the number. */
  readonly text: string;
}

/** Numbers after which NVIDIA wants the card reset or the host rebooted. Any other one is told and changes nothing. */
const serious: Readonly<Record<number, readonly [XidNeeds, string]>> = {
  46: ['reset', 'the GPU stopped processing'],
  48: ['reset', 'double bit ECC error'],
  54: ['reboot', 'auxiliary power is not connected'],
  62: ['reset', 'the micro-controller of the GPU halted'],
  64: ['reset', 'faulty memory could not be remapped'],
  74: ['reset', 'NVLink error'],
  79: ['reboot', 'the GPU has fallen off the bus'],
  95: ['reset', 'uncontained memory error'],
  109: ['reset', 'context switch timeout'],
  110: ['reset', 'security fault'],
  119: ['reset', 'the GSP of the GPU does not answer'],
  120: ['reset', 'GSP error'],
  136: ['reset', 'link training failed'],
  140: ['reset', 'unrecovered ECC error'],
  143: ['reset', 'the GPU could not be initialised'],
  156: ['reset', 'faulty memory was retired'],
  158: ['reset', 'fatal timeout of the GPU'],
};

/** Numbers that are an application's own fault, or that the driver has dealt with. */
const harmless: Readonly<Record<number, string>> = {
  8: 'the GPU stopped processing',
  13: 'graphics engine exception',
  31: 'GPU memory page fault',
  32: 'invalid push buffer stream',
  38: 'driver firmware error',
  43: 'the application was stopped',
  44: 'fault during a context switch',
  45: 'what ran on the GPU was cleaned away',
  63: 'faulty memory was remapped',
  66: 'illegal access by the driver',
  68: 'video decoder exception',
  69: 'graphics engine class error',
  92: 'many single bit ECC errors',
  94: 'contained memory error',
  137: 'NVLink privilege error',
};

const line = /^NVRM: Xid \((?:PCI:)?([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})(?:\.[0-7])?\): (\d{1,4})(?:, (.*))?$/i;

/** Undefined for any other line. */
export function readXid(kernelText: string): Xid | undefined {
  const [, slot, number, said = ''] = line.exec(kernelText) ?? [];
  if (slot === undefined || number === undefined) {
    return undefined;
  }
  const [code, text] = [Number(number), quoted(said)];
  const [needs, meaning] =
    code === recoveryActionChanged
      ? ([actionNeeds(text), 'what the driver wants to be done for the GPU has changed'] as const)
      : (serious[code] ?? (['nothing', harmless[code] ?? 'no meaning known here'] as const));
  return {
    ...{ code, slot: slotOf(slot), needs, meaning, text },
    settled: code === recoveryActionChanged && needs === 'nothing',
  };
}

/** Since driver R565 each change of what a card needs is said so: `… changed from 0x0 (None) to 0x2 (Node Reboot Required)`. */
const recoveryActionChanged = 154;

/** NVML's numbers of it: 0 none, 1 reset, 2 reboot, 3 drain peers, 4 drain and reset, 6 reset of the bus, 7 reboot. */
function actionNeeds(text: string): XidNeeds {
  const [, action = 'f'] = /changed from 0x[0-9a-f]+ \([^)]*\) to 0x([0-9a-f]+)/i.exec(text) ?? [];
  const number = Number.parseInt(action, 16);
  if (number === 0) {
    return 'nothing';
  }
  return number === 2 || number === 7 ? 'reboot' : 'reset';
}

/** True for the line that a driver writes when it is loaded: until then no card was reset as thoroughly. */
export function isDriverLoad(kernelText: string): boolean {
  return /^NVRM: loading NVIDIA UNIX /.test(kernelText);
}

function slotOf(text: string): string {
  const [domain = '', ...rest] = text.toLowerCase().split(':');
  return [domain.replace(/^0+(?=[0-9a-f]{4})/, ''), ...rest].join(':');
}
