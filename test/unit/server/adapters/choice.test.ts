/** Which adapter carries a launch out: the manifest says so, and nobody else. */
import { describe, expect, it } from 'vitest';
import type { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';
import { readProfile } from '../../../../src/manifests/gpuaas/read-profile.ts';
import { adapterOf } from '../../../../src/server/adapters/index.ts';
import { adapterInput } from '../../../../src/server/launch/adapter-input.ts';
import { checkLaunch, type LaunchFacts } from '../../../../src/server/launch/checks.ts';
import { launchFacts, smokeFacts } from '../../../support/launch-samples.ts';
import { jupyterDocument, jupyterProfile, smokeProfile } from '../../../support/profiles.ts';

const placed = { instanceId: 'instance-1', nodeId: 'node-1', sealedFiles: {}, sealedEnv: {} };

function taskOf(facts: LaunchFacts) {
  const result = checkLaunch(facts);
  if (!result.ok) throw new Error(JSON.stringify(result.refusals));
  const { profile } = result.launch;
  return adapterOf(profile.execution.default_engine).launch(adapterInput(result.launch, placed));
}

describe('the default engine of a manifest', () => {
  const engines = [
    { engine: 'docker_compose', adapter: 'compose_v2', status: 'active' },
    { engine: 'node_agent', adapter: 'oci_container', status: 'active' },
  ];
  const facts = (engine: string) => ({
    ...smokeFacts({}),
    profile: smokeProfile({ '/execution/supported_engines': engines, '/execution/default_engine': engine }),
  });

  it('alone decides which task the same values become (G-4, G-83)', () => {
    const one = facts('node_agent');
    const many = facts('docker_compose');

    expect(one.request).toEqual(many.request);
    expect(taskOf(one).type).toBe('workload.oci_launch');
    expect(taskOf(many).type).toBe('workload.compose_launch');
  });

  it.each(['docker_compose', 'helm'])('cannot be %s while the manifest calls that future (G-84, G-85)', (engine) => {
    const read = readProfile(jupyterDocument({ '/execution/default_engine': engine }));

    expect(read.ok ? [] : read.errors.map(({ path, code }) => `${path} ${code}`)).toContain(
      '/execution/default_engine engine_not_active',
    );
  });

  it.each(['docker_compose', 'helm', 'kubernetes'] as const)(
    'is looked at again at the launch: %s is refused (G-84, G-85, G-206)',
    (engine) => {
      const profile = jupyterProfile();
      const changed: WorkloadProfile = { ...profile, execution: { ...profile.execution, default_engine: engine } };
      const result = checkLaunch(launchFacts({ profile: changed }));

      expect(result.ok ? [] : result.refusals.map(({ code }) => code)).toContain('launch.engine_not_active');
    },
  );

  it.each(['helm', 'kubernetes', 'dstack'])('has no adapter that could render for %s (G-206)', (engine) => {
    expect(() => adapterOf(engine)).toThrow(`no adapter drives ${engine}`);
  });

  it('keeps a workspace in scratch unless a launch wants otherwise (G-203)', () => {
    const { params } = taskOf(launchFacts());

    expect(params).toMatchObject({ mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch' }] });
  });
});
