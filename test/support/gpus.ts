/** Cards as a host reports them. */
import type { Gpu } from '../../src/contract/gpus.ts';
import type { DriverProbe } from '../../src/host/driver-probe.ts';
import type { GpuProbe } from '../../src/host/gpus.ts';

/** A healthy, free card of NVIDIA; what is given wins. */
export function sampleGpu(given: Partial<Gpu> = {}): Gpu {
  return {
    ...{ uuid: 'GPU-1', vendor: 'nvidia', name: 'NVIDIA H100 80GB HBM3', memory_mib: 81_559 },
    ...{ driver: '570.86.15', pci_address: '0000:17:00.0', mig: null },
    ...{ health: 'healthy', reason: null, held_by: null },
    ...given,
  };
}

/** What a host with the drivers given says; one without any driver where there are none. */
export function sampleProbe(...drivers: Partial<DriverProbe>[]): GpuProbe {
  const all = drivers.map(
    (given): DriverProbe => ({
      ...{ vendor: 'nvidia', tool: '/usr/bin/nvidia-smi', gpus: [], partitioned: [], reason: null },
      ...given,
    }),
  );
  return { gpus: all.flatMap(({ gpus }) => gpus), drivers: all, renderNodes: new Map() };
}
