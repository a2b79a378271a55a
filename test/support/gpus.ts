/** Cards as a host reports them. */
import type { Gpu } from '../../src/contract/gpus.ts';

/** A healthy, free card of NVIDIA; what is given wins. */
export function sampleGpu(given: Partial<Gpu> = {}): Gpu {
  return {
    ...{ uuid: 'GPU-1', vendor: 'nvidia', name: 'NVIDIA H100 80GB HBM3', memory_mib: 81_559 },
    ...{ driver: '570.86.15', pci_address: '0000:17:00.0', mig: null },
    ...{ health: 'healthy', reason: null, held_by: null },
    ...given,
  };
}
