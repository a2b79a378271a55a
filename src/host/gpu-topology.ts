/**
 * How the cards of this host are connected with each other: what a workload of several cards is as fast as.
 *
 * NVIDIA's driver tells it by `nvidia-smi topo -m`; of AMD's cards nothing is known, and all choices count the same.
 */
import { stripVTControlCharacters } from 'node:util';
import { askDriver, driverTimeoutMs } from './ask-driver.ts';
import { findProgram, searchFolders } from './programs.ts';
import type { ProgramResult } from './run-program.ts';

/**
 * Best first: `NV#` is that many NVLinks; PIX one PCIe bridge, PXB several, PHB the host bridge of a processor, NODE several
 * of them, SYS the link between processors.
 */
export type LinkKind = `NV${number}` | 'PIX' | 'PXB' | 'PHB' | 'NODE' | 'SYS';

/** Kind of the link between two whole cards, by UUID and in both directions; a pair that is not there is not known. */
export type GpuLinks = ReadonlyMap<string, ReadonlyMap<string, LinkKind>>;

export interface TopologySources {
  readonly path: string | undefined;
  readonly places?: readonly string[];
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

/** Empty where the driver does not tell: an order of choice is lost then, and nothing else. Rejects only with the signal's reason. */
export async function probeGpuLinks(sources: TopologySources): Promise<GpuLinks> {
  const { path, places, timeoutMs = driverTimeoutMs, signal } = sources;
  const tool = await findProgram('nvidia-smi', searchFolders(path, places));
  if (tool === null) {
    return new Map();
  }
  const [list, matrix] = [
    await askDriver(tool, ['-L'], { timeoutMs, signal }),
    await askDriver(tool, ['topo', '-m'], { timeoutMs, signal }),
  ];
  return readLinks(cardsByIndex(outputOf(list)), outputOf(matrix));
}

function outputOf(result: ProgramResult): string {
  return result.outcome === 'exited' && result.exitCode === 0 ? result.stdout : '';
}

/** `GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-…)`: the matrix names cards by the index of this very moment. */
function cardsByIndex(list: string): Map<string, string> {
  const lines = list.matchAll(/^GPU (\d{1,3}): .{1,256} \(UUID: (GPU-[0-9a-zA-Z-]{1,64})\)\s*$/gm);
  return new Map([...lines].map(([, index, uuid]) => [`GPU${index}`, uuid as string]));
}

/**
 * A table with tabs: a head `⇥GPU0⇥GPU1⇥NIC0⇥CPU Affinity…`, underlined for terminals by some releases, and a row for each
 * card and network card. Rows after the first empty line explain it.
 */
function readLinks(cards: ReadonlyMap<string, string>, matrix: string): GpuLinks {
  const rows = stripVTControlCharacters(matrix)
    .split('\n')
    .map((line) => line.split('\t').map((cell) => cell.trim()));
  const head = rows.find(([, first]) => first?.startsWith('GPU')) ?? [];
  const links = new Map<string, Map<string, LinkKind>>();
  for (const [name = '', ...cells] of rows) {
    const from = cards.get(name);
    for (const [at, cell] of from === undefined ? [] : cells.entries()) {
      const to = cards.get(head[at + 1] ?? '');
      if (from !== undefined && to !== undefined && isLinkKind(cell)) {
        const others = links.get(from) ?? new Map<string, LinkKind>();
        links.set(from, others.set(to, cell));
      }
    }
  }
  return links;
}

function isLinkKind(cell: string): cell is LinkKind {
  return /^(NV\d{1,3}|PIX|PXB|PHB|NODE|SYS)$/.test(cell);
}
