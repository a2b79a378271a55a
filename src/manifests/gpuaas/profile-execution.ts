/** How a profile is run: which engines, with which environment, and as which stack. Never with the YAML of an engine. */
import { type Static, Type } from 'typebox';
import { maxServices, serviceNamePattern } from '../../contract/compose-document.ts';
import { parameterNamePattern } from './parameter-schema.ts';
import { closed, name, text, variableName } from './profile-fields.ts';

export const engineNames = ['node_agent', 'docker_compose', 'kubernetes', 'helm', 'dstack'] as const;
/** Who makes the stack of a profile; `stack-rules.ts` says what each asks of it, the control plane has the renderers. */
export const rendererNames = ['vllm_openai', 'smoke_stack'] as const;
export type RendererName = (typeof rendererNames)[number];

const ComposeService = Type.Object(
  {
    name: Type.String({ pattern: serviceNamePattern, description: 'Name of the service; the others reach it by it.' }),
    role: text(64, 'What the service does in the stack.'),
    endpoints: Type.Optional(
      Type.Array(name('A declared endpoint.'), { maxItems: 32, description: 'Endpoints it serves.' }),
    ),
    mounts: Type.Optional(Type.Array(name('A declared mount.'), { maxItems: 32, description: 'Mounts it uses.' })),
    secrets: Type.Optional(
      Type.Array(Type.String({ pattern: parameterNamePattern, description: 'A declared secret.' }), {
        maxItems: 16,
        description: 'Secrets it gets.',
      }),
    ),
  },
  { ...closed, description: 'One service of the stack.' },
);
export type ProfileService = Static<typeof ComposeService>;

const Compose = Type.Object(
  {
    renderer: Type.Enum([...rendererNames], { description: "Which of the platform's renderers makes the stack." }),
    topology: Type.Object(
      {
        description: text(1024, 'The stack in a sentence; shown above its drawing.'),
        services: Type.Array(ComposeService, {
          minItems: 1,
          maxItems: maxServices,
          description: 'Services of the stack.',
        }),
      },
      { ...closed, description: 'Shape of the stack, to be drawn. Not what runs: that is rendered.' },
    ),
  },
  { ...closed, description: 'How a stack of several services is made. Never the YAML of an engine.' },
);

const SupportedEngine = Type.Object(
  {
    engine: Type.Enum([...engineNames], { description: 'Execution engine.' }),
    adapter: Type.Enum(['oci_container', 'compose_v2', 'kubernetes_resources', 'helm_values', 'dstack_run'], {
      description: 'How the engine is driven.',
    }),
    status: Type.Enum(['active', 'future'], { description: 'future: declared, cannot be launched yet.' }),
  },
  { ...closed, description: 'An engine that the app is meant to run on.' },
);

export const Execution = Type.Object(
  {
    default_engine: Type.Enum([...engineNames], { description: 'Engine that a launch uses; must be active.' }),
    container_env: Type.Optional(
      Type.Record(Type.String({ pattern: variableName }), Type.String({ maxLength: 32768, pattern: '^[^\\u0000]*$' }), {
        maxProperties: 256,
        additionalProperties: false,
        description: 'Environment of the container. Never a secret.',
      }),
    ),
    supported_engines: Type.Array(SupportedEngine, { minItems: 1, maxItems: 8, description: 'Engines, each once.' }),
    compose: Type.Optional(Compose),
  },
  { ...closed, description: 'How it is run.' },
);
