/** The shape of what an op exposes: ports, and how it is asked whether it is well there. */
import { Type } from 'typebox';
import { byKey, byType } from '../by-type.ts';
import { closed, exactLiteral, named, SpreadMarker, Text } from './schema-parts.ts';

const HealthCheck = Type.Unsafe<HealthCheck>({
  type: 'object',
  discriminator: { propertyName: 'type' },
  oneOf: [
    Type.Object(
      {
        type: Type.Literal('http', { description: 'An HTTP request.' }),
        path: Text('Path and query.', { maxLength: 2048, pattern: '^/' }),
        method: Type.Enum(['GET', 'POST', 'PUT', 'DELETE'], { description: 'Method of the request.' }),
        expected_status: Type.Integer({ minimum: 100, maximum: 599, description: 'The status that passes.' }),
        headers: Type.Optional(named(Text('Value of the header.'), 'Headers of the request.')),
        body: Type.Optional(Type.Unknown({ description: 'Body of the request; what is no text is sent as JSON.' })),
        continuous: Type.Optional(Type.Boolean({ description: 'True if it is asked for as long as the op runs.' })),
        restart_on_failure: Type.Optional(
          Type.Boolean({ description: 'True if a continuous check that fails restarts the op.' }),
        ),
        max_restarts: Type.Optional(Type.Integer({ minimum: 0, maximum: 100, description: 'Most such restarts.' })),
      },
      { ...closed, description: 'Passes with the expected status.' },
    ),
    Type.Object(
      {
        type: Type.Literal('websocket', { description: 'A WebSocket connection.' }),
        expected_response: Text('The text of the first message.'),
        continuous: Type.Optional(Type.Boolean({ description: 'True if it is asked for as long as the op runs.' })),
      },
      { ...closed, description: 'Passes with the expected message.' },
    ),
  ],
  description: 'How it is asked whether the op is well.',
});

export type HealthCheck =
  | {
      readonly type: 'http';
      readonly path: string;
      readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
      readonly expected_status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
      readonly continuous?: boolean;
      readonly restart_on_failure?: boolean;
      readonly max_restarts?: number;
    }
  | { readonly type: 'websocket'; readonly expected_response: string; readonly continuous?: boolean };

const portNumber = Type.Integer({ minimum: 1, maximum: 65_535, description: 'A port.' });
/** `8000-8010`, or a literal. */
const portText = Text('A range such as `8000-8010`, or a literal.', {
  pattern: `^[0-9]{1,5}-[0-9]{1,5}$|${exactLiteral}`,
});

const ExposedPort = Type.Object(
  {
    port: byType({ integer: portNumber, string: portText }, 'The port, or a range of ports.'),
    type: Type.Optional(
      Type.Enum(['web', 'api', 'webapi', 'websocket', 'none'], { description: 'What is offered there.' }),
    ),
    health_checks: Type.Optional(
      Type.Array(HealthCheck, { maxItems: 16, description: 'All have to pass before the op is ready.' }),
    ),
  },
  { ...closed, description: 'A port with what is known of it.' },
);

const ExposeObject = byKey(
  '__spread__',
  { present: SpreadMarker, absent: ExposedPort },
  'A port with what is known of it, or entries that are known only while the job runs.',
);

export const Expose = byType(
  {
    integer: portNumber,
    string: portText,
    object: ExposeObject,
    array: Type.Array(byType({ integer: portNumber, string: portText, object: ExposeObject }, 'What is exposed.'), {
      maxItems: 64,
      description: 'Everything that is exposed.',
    }),
  },
  'Ports that are exposed.',
);
