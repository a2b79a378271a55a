/** Params of `workload.compose_launch`: pull by digest, bring the stack up, wait for readiness. */
import { type Static, Type } from 'typebox';
import { ComposeDocument, maxServices, ServiceName } from './compose-document.ts';
import { Identity } from './identifiers.ts';
import { StackTopology } from './stack-topology.ts';
import { taggedUnion } from './tagged-union.ts';
import {
  HttpReadiness,
  LogLimits,
  RestartPolicy,
  Sandbox,
  SealedEnv,
  SealedFiles,
  TcpReadiness,
} from './workload-oci-launch.ts';

export const StackReadinessCheck = taggedUnion(
  'type',
  [HttpReadiness, TcpReadiness],
  'When the stack is ready. A service without an endpoint is ready while it runs, and its health check passes.',
);
export type StackReadinessCheck = Static<typeof StackReadinessCheck>;

const perService = { maxProperties: maxServices, additionalProperties: false } as const;

export const WorkloadComposeLaunchParams = Type.Object(
  {
    identity: Identity,
    document: ComposeDocument,
    topology: StackTopology,
    sealed_env: Type.Optional(
      Type.Record(ServiceName, SealedEnv, { ...perService, description: 'Secret environment by service.' }),
    ),
    sealed_files: Type.Optional(
      Type.Record(ServiceName, SealedFiles, { ...perService, description: 'Secret files by service.' }),
    ),
    readiness: Type.Array(StackReadinessCheck, {
      maxItems: 16,
      description:
        'All of them must pass before the state is running. They run in this order, side by side per endpoint.',
    }),
    sandbox: Sandbox,
    restart: RestartPolicy,
    log_limits: LogLimits,
  },
  { additionalProperties: false, description: 'Pull, create, start in order, wait for readiness.' },
);
export type WorkloadComposeLaunchParams = Static<typeof WorkloadComposeLaunchParams>;
