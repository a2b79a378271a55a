/** Which version of the agent this is. */
import agent from '../../package.json' with { type: 'json' };

export const agentVersion: string = agent.version;
