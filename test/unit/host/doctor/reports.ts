/** Engine reports and policy for the tests of the doctor. */
import type { EngineReport } from '../../../../src/host/doctor/engine-checks.ts';
import type { DoctorPolicy } from '../../../../src/host/doctor.ts';

/** A healthy engine of today. */
export function report(changes: Partial<EngineReport> = {}): EngineReport {
  return {
    version: '28.2.2',
    apiVersion: '1.50',
    runtimes: ['io.containerd.runc.v2', 'runc'],
    runtimePrograms: new Map(),
    storageDriver: 'overlay2',
    cgroupDriver: 'systemd',
    cgroupVersion: '2',
    rootDir: '/',
    defaultRuntime: 'runc',
    limits: { memory: true, cpu: true, pids: true },
    liveRestore: true,
    cdiFolders: [],
    ...changes,
  };
}

export const policy: DoctorPolicy = {
  allocation: { uid: 4242, home: '/home/alloc' },
  approved_engines: ['docker'],
  sandboxes: { runc: 'runc' },
  registries: [{ host: '127.0.0.1:5000' }],
  reserves: { cpu_cores: 0, memory_gib: 0, disk_gib: 0 },
  network_pool: '10.213.0.0/16',
  secrets_dir: '/run/gpuaas-node-agent/secrets',
  inputs: { dir: '/var/lib/gpuaas-node-agent-inputs' },
};
