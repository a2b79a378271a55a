/**
 * Parts of a plan that came after the first agents that carry out plans. An agent says which it knows, and one that does not is given no
 * plan with it: it would refuse all of it. A folder as an input; services that jobs of a revision share; values that say how services stand,
 * for which others stand where the agent knows none; the disk that a job asks for, for which its host makes room; a network that leads to a
 * list of addresses; a computation payload manifest, with its image and its script.
 */
export const planParts = [
  'folder_inputs',
  'shared_services',
  'service_states',
  'disk',
  'allow_list',
  'payload',
] as const;
export type PlanPart = (typeof planParts)[number];
