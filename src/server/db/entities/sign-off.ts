/** Who has found an environment ready for launches. */
import { type Static, Type } from 'typebox';
import { closed, id, text, time } from './fields.ts';

export const SignOff = Type.Object(
  {
    id: id('Of the sign-off; they grow with time.'),
    environment: text(63, 'Name of the environment, as `--environment` has it.'),
    text: text(500, 'Who signed off and when, as `--launch-sign-off` has it.'),
    version: text(64, 'Version of the control plane that was started with it.'),
    created_at: time('When a control plane was first started with it.'),
  },
  { ...closed, description: 'A sign-off that launches were switched on with.' },
);
export type SignOff = Static<typeof SignOff>;
