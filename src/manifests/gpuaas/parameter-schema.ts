/**
 * The part of JSON Schema that parameters of a profile may use: flat objects of text, numbers and switches.
 *
 * A subset on purpose. A form must be able to show every parameter, the same verdict must come from browser, CLI and
 * server, and judging a value must be bounded: no patterns, no references, no nesting.
 */
import { type Static, Type } from 'typebox';
import { maxText } from './judge-parameter.ts';

const closed = { additionalProperties: false } as const;

export const parameterNamePattern = '^(?!__proto__$)[a-z][a-z0-9_]{0,63}$';

const words = {
  title: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'Label of the field.' })),
  description: Type.Optional(Type.String({ maxLength: 1024, description: 'Help below the field.' })),
};

const maxOptions = 256;

export const ParameterProperty = Type.Object(
  {
    ...words,
    type: Type.Enum(['string', 'integer', 'number', 'boolean'], { description: 'Kind of value.' }),
    enum: Type.Optional(
      Type.Array(Type.Union([Type.String({ maxLength: 256 }), Type.Number()], { description: 'One choice.' }), {
        minItems: 1,
        maxItems: maxOptions,
        uniqueItems: true,
        description: 'The only values there are.',
      }),
    ),
    default: Type.Optional(
      Type.Union([Type.String({ maxLength: maxText }), Type.Number(), Type.Boolean()], {
        description: 'Value where none is given.',
      }),
    ),
    minimum: Type.Optional(Type.Number({ description: 'Smallest number.' })),
    maximum: Type.Optional(Type.Number({ description: 'Largest number.' })),
    minLength: Type.Optional(Type.Integer({ minimum: 0, maximum: maxText, description: 'Fewest characters.' })),
    maxLength: Type.Optional(
      Type.Integer({ minimum: 0, maximum: maxText, description: 'Most characters; 32768 if absent.' }),
    ),
  },
  { ...closed, description: 'One parameter.' },
);
export type ParameterProperty = Static<typeof ParameterProperty>;

export const ParameterSchema = Type.Object(
  {
    ...words,
    type: Type.Literal('object', { description: 'Parameters are the properties of one object.' }),
    required: Type.Optional(
      Type.Array(Type.String({ pattern: parameterNamePattern, description: 'A declared parameter.' }), {
        maxItems: 128,
        uniqueItems: true,
        description: 'Parameters that must have a value, given or by default.',
      }),
    ),
    properties: Type.Record(Type.String({ pattern: parameterNamePattern }), ParameterProperty, {
      maxProperties: 128,
      additionalProperties: false,
      description: 'The parameters by name.',
    }),
    additionalProperties: Type.Optional(
      Type.Literal(false, { description: 'Unknown parameters are always refused; may be said.' }),
    ),
  },
  { ...closed, description: 'JSON Schema of the parameters, in the part of the language that forms can show.' },
);
export type ParameterSchema = Static<typeof ParameterSchema>;
