/**
 * A stand-in for `nvidia-smi`: a real executable that answers what the agent asks, word for word as the tool does.
 *
 * Its cards can change while others ask; whoever asks gets the old ones or the new ones, never a mixture.
 */
import { chmodSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface SmiCard {
  readonly uuid: string;
  readonly name?: string;
  /** As the tool writes it, or what it writes instead, such as `[GPU requires reset]`. */
  readonly memory?: string;
  readonly driver?: string;
  readonly bus?: string;
  /** Set for a card in MIG mode. */
  readonly parts?: readonly { readonly uuid: string; readonly profile: string }[];
  /** Columns of the card's use: utilization, memory used, memory, temperature, power. */
  readonly use?: string;
}

export interface NvidiaSmi {
  readonly folder: string;
  show(cards: readonly SmiCard[]): void;
  /** From now on it hangs, and ignores whoever asks it to stop. */
  hang(): void;
  /** From now on it ends with this code and these words. */
  fail(exitCode: number, words: string): void;
}

const csv = '--format=csv,noheader,nounits';
const inventory = `--query-gpu=uuid,name,memory.total,driver_version,pci.bus_id,mig.mode.current ${csv}`;
const use = `--query-gpu=uuid,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw ${csv}`;

/** `folder` becomes an entry of PATH. */
export function nvidiaSmi(folder: string, cards: readonly SmiCard[] = []): NvidiaSmi {
  let answers = 0;
  const answer = (files: Readonly<Record<string, string>>) => {
    answers += 1;
    const next = join(folder, `answers-${answers}`);
    mkdirSync(next);
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(next, name), text);
    }
    symlinkSync(next, join(folder, 'next'));
    renameSync(join(folder, 'next'), join(folder, 'answers'));
  };
  const show = (shown: readonly SmiCard[]) =>
    answer({
      [inventory]: lines(shown.map(row)),
      [use]: lines(shown.map(useOf)),
      '-L': list(shown),
      'topo -m': topo(shown),
    });

  mkdirSync(folder, { recursive: true });
  show(cards);
  const path = join(folder, 'nvidia-smi');
  writeFileSync(path, script(folder));
  chmodSync(path, 0o755);
  return {
    ...{ folder, show },
    hang: () => answer({ hang: '' }),
    fail: (exitCode, words) => answer({ code: String(exitCode), words: `${words}\n` }),
  };
}

function script(folder: string): string {
  return `#!/bin/sh
here=$(readlink -f "${folder}/answers")
if [ -e "$here/hang" ]; then
  trap '' TERM INT HUP
  sleep 600
fi
if [ -e "$here/code" ]; then
  cat "$here/words"
  exit "$(cat "$here/code")"
fi
if [ ! -e "$here/$*" ]; then
  echo "Invalid combination of input arguments: $*"
  exit 2
fi
exec cat "$here/$*"
`;
}

const nameOf = ({ name = 'NVIDIA H100 80GB HBM3' }: SmiCard) => name;
const lines = (rows: readonly string[]) => rows.map((text) => `${text}\n`).join('');

function row(card: SmiCard, at: number): string {
  const { uuid, memory = '81559', driver = '570.86.15', parts } = card;
  const bus = card.bus ?? `00000000:${(0x17 + at).toString(16).toUpperCase()}:00.0`;
  return [uuid, nameOf(card), memory, driver, bus, parts ? 'Enabled' : 'Disabled'].join(', ');
}

function useOf({ uuid, parts, use: columns }: SmiCard): string {
  return `${uuid}, ${columns ?? (parts ? '[N/A], 512, 81559, 31, 70.12' : '37, 40960, 81559, 61, 412.50')}`;
}

function list(cards: readonly SmiCard[]): string {
  return lines(
    cards.flatMap((card, at) => [
      `GPU ${at}: ${nameOf(card)} (UUID: ${card.uuid})`,
      ...(card.parts ?? []).map(
        ({ uuid, profile }, device) =>
          `  MIG ${profile.padEnd(11)} Device ${String(device).padStart(2)}: (UUID: ${uuid})`,
      ),
    ]),
  );
}

/** All on one NVSwitch. The head is underlined also where no terminal reads it, as driver 580 does. */
function topo(cards: readonly SmiCard[]): string {
  const columns = [...cards.map((_, at) => `GPU${at}`), 'CPU Affinity', 'NUMA Affinity', 'GPU NUMA ID'];
  const head = `\t\u001b[4m${columns.join('\t')}\u001b[0m`;
  const rows = cards.map((_, at) =>
    [`GPU${at}`, ...cards.map((_other, to) => (to === at ? ' X ' : 'NV18')), '0-51,104-155', '0', '', 'N/A'].join('\t'),
  );
  return `${[head, ...rows].join('\n')}\n\nLegend:\n\n  X    = Self\n  NV#  = Connection traversing a bonded set of # NVLinks\n`;
}
