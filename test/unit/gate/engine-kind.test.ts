import { expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { assertUsable, type VersionAnswer } from '../../../src/gate/engine-kind.ts';

const docker: VersionAnswer = { Version: '28.0.1', Components: [{ Name: 'Engine' }, { Name: 'containerd' }] };
const podman: VersionAnswer = { Version: '5.4.2', Components: [{ Name: 'Podman Engine' }, { Name: 'Conmon' }] };

function whyNot(engine: VersionAnswer, approved: readonly string[]): unknown {
  try {
    assertUsable(engine, approved);
    return undefined;
  } catch (error) {
    return error instanceof AgentError && error.code === 'engine.unsupported' ? error.detail : error;
  }
}

it.each([
  ['that names its parts', docker],
  ['that names none', { Version: '20.10.24' }],
  ['whose list of parts is null', { Version: '20.10.24', Components: null }],
])('uses Docker %s, where it is approved', (_, engine) => {
  expect(whyNot(engine, ['docker', 'nerdctl'])).toBeUndefined();
});

it.each([
  [['podman'], 'It is docker 28.0.1, and host policy approves only podman.'],
  [['podman', 'nerdctl'], 'It is docker 28.0.1, and host policy approves only podman and nerdctl.'],
  [[], 'It is docker 28.0.1, and host policy approves none.'],
])('uses no Docker where host policy approves %j', (approved, reason) => {
  expect(whyNot(docker, approved)).toEqual({ engine: 'docker', version: '28.0.1', reason });
});

it.each([[['docker']], [['docker', 'podman']]])('uses no podman, approved or not: %j', (approved) => {
  const reason = expect.stringMatching(/^It is podman 5\.4\.2, whose Docker-compatible API drops parts of a request/);

  expect(whyNot(podman, approved)).toEqual({ engine: 'podman', version: '5.4.2', reason });
});
