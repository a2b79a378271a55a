/** Entities as tests need them: valid, and different where they are asked to be. */
import type { Allocation } from '../../src/server/db/entities/allocation.ts';
import type { NewEvent } from '../../src/server/db/entities/event.ts';
import type { Project } from '../../src/server/db/entities/project.ts';

const at = '2026-11-25T10:00:00.000Z';

export function aProject(given: Partial<Project> = {}): Project {
  return { id: 'p1', name: 'research', display_name: 'Research', created_at: at, ...given };
}

export function anAllocation(given: Partial<Allocation> = {}): Allocation {
  return {
    ...{
      id: '0190a000-0000-7000-8000-000000000001',
      project_id: 'p1',
      name: 'host one',
      state: 'active',
      node_id: null,
    },
    ...{
      shape: { gpu_count: 1, cpu_cores: 8, memory_gib: 32 },
      ssh: null,
      project_storage: false,
      data_policy: 'keep',
    },
    ...{ created_at: at, ended_at: null },
    ...given,
  };
}

export function anEvent(given: Partial<NewEvent> = {}): NewEvent {
  return {
    ...{ time: at, type: 'project.created', project_id: 'p1', subject: { kind: 'project', id: 'p1' }, actor: 'system' },
    ...{ correlation_id: null, message: 'The project was made.', data: {} },
    ...given,
  };
}
