/** Adds up what the engine says about the layers of a pull. */
import type { PullProgress } from '../engine.ts';

/** One line of the engine's pull stream, as far as it is read. */
export interface PullLine {
  readonly status?: string;
  /** Short id of a layer. */
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number } | null;
  readonly error?: string;
  readonly errorDetail?: { readonly message?: string } | null;
}

interface Layer {
  current: number;
  /** Null while the engine did not say. */
  total: number | null;
  done: boolean;
}

/** More layers than any engine accepts; what is said about others is not counted. */
const maxLayers = 1024;
const layerId = /^[0-9a-f]{12}$/;

export class ProgressSum {
  readonly #layers = new Map<string, Layer>();

  add({ status = '', id = '', progressDetail }: PullLine): void {
    const layer = layerId.test(id) ? this.#layer(id) : undefined;
    if (!layer) {
      return;
    }
    if (status === 'Downloading' && progressDetail?.current !== undefined) {
      layer.current = progressDetail.current;
      layer.total = progressDetail.total && progressDetail.total > 0 ? progressDetail.total : layer.total;
    } else if (afterDownload.has(status)) {
      layer.current = layer.total ?? layer.current;
      layer.total ??= layer.current;
      layer.done = layer.done || status === 'Pull complete' || status === 'Already exists';
    }
  }

  read(): PullProgress {
    const layers = [...this.#layers.values()];
    const totals = layers.map(({ total }) => total);
    return {
      layers: layers.length,
      layersDone: layers.filter(({ done }) => done).length,
      bytes: sum(layers.map(({ current }) => current)),
      bytesTotal: totals.length > 0 && totals.every((total) => total !== null) ? sum(totals) : null,
    };
  }

  /** Bytes that are known to be still to come, at least. */
  missing(): number {
    return sum([...this.#layers.values()].map(({ current, total }) => Math.max(0, (total ?? 0) - current)));
  }

  #layer(id: string): Layer | undefined {
    const known = this.#layers.get(id);
    if (known || this.#layers.size >= maxLayers) {
      return known;
    }
    const layer: Layer = { current: 0, total: null, done: false };
    this.#layers.set(id, layer);
    return layer;
  }
}

/** A small layer may be there before the engine ever named its size. */
const afterDownload = new Set([
  ...['Already exists', 'Verifying Checksum', 'Download complete', 'Extracting', 'Pull complete'],
]);

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
