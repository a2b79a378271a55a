import { describe, expect, it } from 'vitest';
import { initialChoices, judgeStep } from '../../../../src/manifests/gpuaas/form-answers.ts';
import { type FormComponent, formModel } from '../../../../src/manifests/gpuaas/form-model.ts';
import type { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';
import { resolveValues } from '../../../../src/manifests/gpuaas/resolve-values.ts';
import { type Changes, jupyterProfile, vllmProfile } from '../../../support/profiles.ts';

/** Each step as `title: component, component`. */
function outline(changes: Changes = {}): string[] {
  return outlineOf(jupyterProfile(changes));
}

function outlineOf(profile: WorkloadProfile): string[] {
  const nameOf = (one: FormComponent) =>
    one.kind === 'field' ? one.field.name : one.kind === 'secret' ? one.secret.name : one.kind;
  return formModel(profile).steps.map(
    ({ title, components }) =>
      `${title}: ${components.map((one) => `${nameOf(one)}${one.required ? '' : '?'}`).join(', ')}`,
  );
}

function stepOf(id: string, changes: Changes = {}) {
  const profile = jupyterProfile(changes);
  const step = formModel(profile).steps.find((one) => one.id === id);
  if (!step) throw new Error(`no step ${id}`);
  return { profile, step };
}

describe('the form of JupyterLab', () => {
  it('has the six steps of its wizard, in order (G-50 to G-56)', () => {
    expect(outline()).toEqual([
      'Target: platform.target_allocation',
      'Runtime: platform.artifact_selector, python_packages?',
      'Resources: gpu_count, cpu_cores, memory_gib',
      'Storage: workspace_mount',
      'Access: exposure_mode, host_port',
      'Review: platform.review',
    ]);
  });

  it('says what each field accepts, and where its value goes (G-11, G-169, G-172)', () => {
    const fields = formModel(jupyterProfile()).steps.flatMap(({ components }) =>
      components.flatMap((one) => (one.kind === 'field' ? [one.field] : [])),
    );

    expect(
      fields.map(
        ({ name, label, control, pointer, required, default: standard, minimum, maximum, max_length, options }) =>
          [pointer, name, label, control, required, standard, minimum, maximum, max_length, options?.join('|')].join(
            ' ',
          ),
      ),
    ).toEqual([
      '/config/python_packages python_packages Python packages text_area false    4096 ',
      '/resource_overrides/gpu_count gpu_count GPU count integer false 1 0   ',
      '/resource_overrides/cpu_cores cpu_cores CPU cores integer false 2 2   ',
      '/resource_overrides/memory_gib memory_gib Memory GiB integer false 4 4   ',
      '/config/workspace_mount workspace_mount Workspace mount select true scratch    scratch|project_storage',
      '/config/exposure_mode exposure_mode Exposure mode select true private    private',
      '/config/host_port host_port Host port integer false 8888 1024 65535  ',
    ]);
  });

  it('tells the part of the request that each platform component fills (G-60)', () => {
    const { step } = stepOf('target');

    expect(step.components).toEqual([
      { kind: 'platform.target_allocation', pointer: '/placement_intent/target_allocation_id', required: true },
    ]);
  });

  it('begins with the defaults, which the server accepts as they are', () => {
    const profile = jupyterProfile();
    const choices = initialChoices(profile);

    expect(choices).toEqual({
      config: { workspace_mount: 'scratch', exposure_mode: 'private', host_port: 8888, python_packages: '' },
      resource_overrides: { gpu_count: 1, cpu_cores: 2, memory_gib: 4 },
    });
    expect(resolveValues(profile, choices).ok).toBe(true);
  });
});

describe('the form of vLLM', () => {
  it('has the six steps of its wizard, its secret among them (G-45 to G-50)', () => {
    expect(outlineOf(vllmProfile())).toEqual([
      'Target: platform.target_allocation',
      'Model: platform.artifact_selector, model?, model_path?, served_model_name?, max_model_len?, max_num_seqs?, dtype?, quantization?',
      'Resources: gpu_count, tensor_parallel_size?, gpu_memory_utilization, cpu_cores, memory_gib, shm_gib, start_timeout_seconds',
      'Storage: workspace_mount',
      'Access: exposure_mode, host_port, hub_token?',
      'Review: platform.review',
    ]);
  });

  it('says what is typed and what is chosen, in words of the manifest (G-11, G-59)', () => {
    const shown = formModel(vllmProfile()).steps.flatMap(({ components }) =>
      components.flatMap((each) =>
        each.kind === 'field'
          ? [`${each.field.label}: ${each.field.control} ${each.field.default ?? '-'}`]
          : each.kind === 'secret'
            ? [`${each.secret.label}: secret`]
            : [],
      ),
    );

    expect(shown).toEqual([
      'Model: select mistralai/Mistral-Small-3.2-24B-Instruct-2506',
      'Folder of a model: text ',
      'Served as: text ',
      'Longest context: integer 0',
      'Requests at a time: integer 256',
      'Number format: select auto',
      'Quantization: select none',
      'GPU count: integer 1',
      'Cards that share the model: integer -',
      'Share of card memory: number 0.9',
      'CPU cores: integer 8',
      'Memory GiB: integer 64',
      'Shared memory (GiB): number 16',
      'Time to start (seconds): integer 3600',
      'Workspace mount: select scratch',
      'Exposure mode: select private',
      'Host port: integer 8000',
      'Hub token: secret',
    ]);
  });
});

describe('a form', () => {
  it('has its steps in the order of the manifest, with its words (G-48, G-50, G-57, G-59)', () => {
    const written = jupyterProfile().parameters.ui?.launch_wizard?.steps ?? [];
    const [target, runtime, resources, storage, access, review] = written;
    const steps = [access, resources, runtime, storage, target, { ...review, title: 'Look again' }];
    const profile = jupyterProfile({ '/parameters/ui/launch_wizard/steps': steps });

    expect(formModel(profile).steps.map(({ id, title, description }) => ({ id, title, description }))).toEqual(
      steps.map((step) => ({ id: step?.id, title: step?.title, description: step?.description ?? null })),
    );
  });

  it('shows a parameter that nobody knew before (G-2)', () => {
    const changes = {
      '/parameters/schema/properties/theme_url': { type: 'string', title: 'Theme', maxLength: 64 },
      '/parameters/ui/launch_wizard/steps/4/components/2': { kind: 'field', name: 'theme_url', required: false },
    };

    expect(outline(changes)[4]).toBe('Access: exposure_mode, host_port, theme_url?');
    expect(stepOf('access', changes).step.components[2]).toMatchObject({
      field: { label: 'Theme', control: 'text', pointer: '/config/theme_url', max_length: 64 },
    });
  });

  it('follows the wizard and not the groups (G-57)', () => {
    const groups = [{ id: 'all', title: 'All', fields: ['host_port'] }];

    expect(outline({ '/parameters/ui/groups': groups })).toEqual(outline());
  });

  it('has a step for each group where there is no wizard, and one for the rest (G-45, G-46)', () => {
    const ui = {
      order: ['python_packages', 'memory_gib'],
      groups: [{ id: 'access', title: 'How to reach it', fields: ['exposure_mode', 'host_port'] }],
    };

    expect(outline({ '/parameters/ui': ui })).toEqual([
      'Target: platform.target_allocation',
      'Image: platform.artifact_selector',
      'How to reach it: exposure_mode, host_port?',
      'Options: python_packages?, memory_gib?, workspace_mount, gpu_count?, cpu_cores?',
      'Review: platform.review',
    ]);
  });
});

/** What the platform's own components ask for. */
const placed = { target_allocation_id: 'a1', artifact_id: 'i1' };

describe('judgeStep', () => {
  it('stops a page at its own faults only (G-53)', () => {
    const { profile, step } = stepOf('resources');
    const choices = {
      config: { host_port: 80 },
      resource_overrides: { gpu_count: -1, cpu_cores: 1, memory_gib: 4 },
    };

    expect(judgeStep(profile, step, choices).map(({ path, code }) => `${path} ${code}`)).toEqual([
      '/resource_overrides/gpu_count minimum',
      '/resource_overrides/cpu_cores below_minimum',
    ]);
  });

  it('lets an optional field be empty (G-49, G-52)', () => {
    const { profile, step } = stepOf('runtime');

    expect(judgeStep(profile, step, { ...placed, config: {}, resource_overrides: {} })).toEqual([]);
  });

  it('wants a value where the page requires one and there is no default', () => {
    const changes = {
      '/parameters/schema/properties/dataset': { type: 'string' },
      '/parameters/ui/launch_wizard/steps/3/components/1': { kind: 'field', name: 'dataset', required: true },
    };
    const { profile, step } = stepOf('storage', changes);

    expect(judgeStep(profile, step, { config: {}, resource_overrides: {} })).toMatchObject([
      { path: '/config/dataset', code: 'required' },
    ]);
    expect(judgeStep(profile, step, { config: { dataset: 'mnist' }, resource_overrides: {} })).toEqual([]);
  });

  it('gives the verdict that the server gives, for every field of every page (G-35)', () => {
    const profile = jupyterProfile();
    const choices = {
      ...placed,
      config: { host_port: 80, workspace_mount: 'nfs', exposure_mode: 'public', python_packages: '-r x' },
      resource_overrides: { gpu_count: -1, cpu_cores: 0, memory_gib: 3 },
    };
    const resolved = resolveValues(profile, choices);
    const shown = formModel(profile).steps.flatMap((step) => judgeStep(profile, step, choices));

    expect(resolved.ok).toBe(false);
    expect(shown.map(({ path }) => path).sort()).toEqual(
      (resolved.ok ? [] : resolved.errors).map(({ path }) => path).sort(),
    );
  });
});
