/** What the agent can say about its connection to the control plane, at any moment. */
import type { Clock } from '../kit/clock.ts';
import type { SessionStatus } from './local-api/agent-status.ts';
import type { SessionState, SessionTrouble } from './session/session.ts';

/** What a person can do about a no of the control plane. One that a later session took over needs nobody. */
const remedies: Readonly<Partial<Record<SessionTrouble, string>>> = {
  revoked: 'What runs here runs on. To serve again, the host has to enrol with a new join token.',
  quarantined: 'Find the copy of this host and switch it off; then `gpuaas nodes release` lets this one in.',
  unauthenticated: 'If this stays, revoke the node and enrol this host with a new join token.',
};

export class SessionNotes {
  readonly #url: string | null;
  readonly #clock: Clock;
  #status: Omit<SessionStatus, 'url' | 'protocol_errors'>;

  /** `url`: null where no control plane is configured. `epoch`: of the last session before this start. */
  constructor(url: string | null, epoch: number, clock: Clock) {
    this.#url = url;
    this.#clock = clock;
    const reason = url === null ? 'No control plane is configured; `node-agent enroll` makes this host a node.' : null;
    this.#status = {
      ...{ state: url === null ? 'unconfigured' : 'connecting', epoch, connects: 0, reason },
      since: this.#now(),
    };
  }

  note(state: SessionState): void {
    const { epoch, connects } = this.#status;
    // An attempt that begins or fails does not make it newer that there is no session.
    const since = state.kind === 'connected' || this.#status.state === 'connected' ? this.#now() : this.#status.since;
    switch (state.kind) {
      case 'connecting':
        this.#status = { ...this.#status, state: 'connecting', since };
        break;
      case 'connected':
        this.#status = { state: 'connected', epoch: state.epoch, connects: connects + 1, reason: null, since };
        break;
      case 'waiting': {
        const { trouble, reason } = state;
        const remedy = trouble && remedies[trouble];
        const said = remedy === undefined ? reason : `${reason.replace(/\.?$/, '.')} ${remedy}`;
        this.#status = { state: remedy === undefined ? 'waiting' : 'refused', epoch, connects, reason: said, since };
        break;
      }
      case 'closed':
        this.#status = { state: 'waiting', epoch, connects, reason: 'The agent is stopping.', since };
    }
  }

  status(protocolErrors: number): SessionStatus {
    return { ...this.#status, url: this.#url, protocol_errors: protocolErrors };
  }

  #now(): string {
    return new Date(this.#clock.wallMs()).toISOString();
  }
}
