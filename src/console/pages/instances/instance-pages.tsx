/** The pages of instances come on their own: with the log and the charts they are as large as all others together. */

import { InstancePage } from '../instance/instance-page.tsx';
import type { Pages } from '../later.tsx';
import { InstancesPage } from './instances-page.tsx';

export const pages: Pages = {
  instances: ({ parts: [, id, tab] }) =>
    id === undefined ? <InstancesPage /> : <InstancePage key={id} id={id} tab={tab} />,
};
