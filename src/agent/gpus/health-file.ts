/**
 * What is known of the cards, kept in a file of its own: it outlives a restart of the agent and a journal that was lost. A
 * card that is not to be trusted must not be handed out because somebody restarted the agent.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Gpu } from '../../contract/gpus.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judge } from '../../contract/validate.ts';
import { writeDurable } from '../../kit/durable.ts';

const closed = { additionalProperties: false } as const;

const KeptCard = Type.Object(
  {
    gpu: Gpu,
    vanished: Type.Union([Type.String(), Type.Null()], {
      description: 'Why it is taken for gone; null while it is there.',
    }),
  },
  { ...closed, description: 'A card that was seen.' },
);
export type KeptCard = Static<typeof KeptCard>;

const KeptXid = Type.Object(
  {
    code: Type.Integer({ description: 'Number of the Xid.' }),
    slot: Type.String({ description: 'Domain, bus and slot of the card.' }),
    needs: Type.Enum(['reset', 'reboot'], { description: 'What brings the card back.' }),
    meaning: Type.String({ description: 'What the number means.' }),
    time: Type.String({ description: 'When the kernel wrote it. RFC 3339 in UTC.' }),
  },
  { ...closed, description: 'A word of the kernel for which a card is quarantined.' },
);
export type KeptXid = Static<typeof KeptXid>;

const KeptHealth = Type.Object(
  {
    boot_id: Type.String({ description: 'Boot of the host in which it was written.' }),
    kernel_line: Type.Integer({
      description: 'Number of the last line of the kernel that was judged in that boot; -1 for none.',
    }),
    cards: Type.Array(KeptCard, { description: 'Cards that were seen and not given up.' }),
    xids: Type.Array(KeptXid, { description: 'Words of the kernel that count.' }),
  },
  { ...closed, description: 'What is known of the cards.' },
);
export type KeptHealth = Static<typeof KeptHealth>;

export class HealthFile {
  readonly #file: string;
  #written = '';

  constructor(stateDir: string) {
    this.#file = join(stateDir, 'gpu-health.json');
  }

  /**
   * Nothing where nothing was kept. A file that cannot be read is no reason to trust a card: the kernel's log of this boot
   * is judged from its beginning again.
   */
  read(): KeptHealth | undefined {
    const bytes = this.#bytes();
    const read = bytes === undefined ? undefined : readStrictJson(bytes);
    const judged = read?.ok ? judge(KeptHealth, read.value) : undefined;
    return judged?.ok ? judged.value : undefined;
  }

  /** Does nothing where nothing is new. */
  write(health: KeptHealth): void {
    const text = `${JSON.stringify(health)}\n`;
    if (text !== this.#written) {
      writeDurable(this.#file, text, 0o600);
      this.#written = text;
    }
  }

  #bytes(): Buffer | undefined {
    try {
      return readFileSync(this.#file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        return undefined;
      }
      throw error;
    }
  }
}
