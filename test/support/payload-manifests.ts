/** Computation payload manifests, and plans that keep what they promise. */
import type { ExeScript } from '../../src/contract/exe-script.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import type { PayloadManifest } from '../../src/contract/payload-manifest.ts';
import { planPayloads } from '../../src/policy/promises/payloads.ts';
import { plan, step } from './job-plans.ts';

type CompManifest = NonNullable<PayloadManifest['compManifest']>;
type Script = NonNullable<CompManifest['script']>;

export function payloadManifest(over: Partial<PayloadManifest> = {}): PayloadManifest {
  return {
    ...{ version: '0.1.0', createdAt: '2022-09-15T00:00:00.000000Z', expiresAt: '2100-01-01T00:00:00.000000Z' },
    payload: [
      {
        platform: { arch: 'x86_64', os: 'linux' },
        urls: ['http://girepo.example:8000/hello-world-latest-779758b432.gvmi'],
        hash: 'sha3:d646d7b93083d817846c2ae5c62c72ca0507782385a2e29291a3d376',
      },
    ],
    ...over,
  };
}

/** One that promises to keep to these commands. */
export function withScript(commands: readonly string[], match?: Script['match']): PayloadManifest {
  const script = { commands: [...commands], ...(match && { match }) };
  return payloadManifest({ compManifest: { version: '0.1.0', script } });
}

/** One that promises to keep to these addresses; `out` may be what no manifest should have. */
export function withNetwork(net: unknown, commands: readonly string[] = []): PayloadManifest {
  const compManifest = { version: '0.1.0', script: { commands: [...commands] }, net } as CompManifest;
  return payloadManifest({ compManifest });
}

export function signedManifest(manifest: PayloadManifest): NonNullable<JobPlan['signed_manifest']> {
  return { manifest: Buffer.from(JSON.stringify(manifest)).toString('base64') };
}

/** Carries out a script in the payload of its manifest. */
export function payloadPlan(manifest: PayloadManifest, script: ExeScript, over: Partial<JobPlan> = {}): JobPlan {
  const volumes = ['input', 'output', 'work', 'resource'];
  const { command: _none, ...bare } = step('script');
  return plan({
    images: [{ id: 'main', source: { kind: 'payload', payload: planPayloads(manifest) } }],
    volumes: volumes.map((name) => ({ name })),
    steps: [
      {
        ...bare,
        mounts: volumes.map((volume) => ({ volume, path: `/golem/${volume}`, read_only: false })),
        script,
      },
    ],
    ...{ network: 'none', signed_manifest: signedManifest(manifest), ...over },
  });
}
