/** The format of a flow state as `@nosana/types` publishes it, and with nothing in it that is unknown there. */
import { jobSchemas } from '@nosana/types';
import { Compile } from 'typebox/schema';

const format = Compile({
  components: strict(jobSchemas.components) as Record<string, unknown>,
  $ref: '#/components/schemas/FlowState',
});

/** What is wrong with it, each with its place. */
export function faultsOf(flowState: unknown): string[] {
  const [, errors] = format.Errors(flowState);
  return errors.map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** Their `nullable` is of OpenAPI; and an object may have what it says it has. */
function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { nullable, ...rest } = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]));
  return {
    ...(rest['type'] === 'object' && { additionalProperties: false }),
    ...rest,
    ...(nullable === true && { type: [rest['type'], 'null'] }),
  };
}
