/** How to reach what runs: the tunnel, the address, and what opens it while it is known (G-210, G-229, G-239). */
import { useState } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { credentialsOf, type EndpointCredential } from '../../lib/credentials.ts';
import { Badge } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Section } from '../../parts/page.tsx';
import { type Use, useOf } from './access-steps.ts';
import { cleanLine } from './clean-text.ts';

type Access = InstanceView['access'][number];

export function AccessTab({ instance }: { readonly instance: InstanceView }) {
  const known = credentialsOf(instance.id) ?? [];
  const [isHidden, setHidden] = useState(false);
  const credentials = isHidden ? [] : known;
  return (
    <div class="stack">
      {known.length > 0 && <Credentials {...{ credentials: known, isHidden }} onHidden={setHidden} />}
      {instance.access.length === 0 ? (
        <NotReachable instance={instance} />
      ) : (
        instance.access.map((access) => (
          <Endpoint
            key={access.endpoint}
            access={access}
            instance={instance}
            credential={credentials.find(({ endpoint }) => endpoint === access.endpoint)}
          />
        ))
      )}
      <p class="muted">
        Access is private: each endpoint listens on the loopback address of its node, and an SSH tunnel brings it to
        your computer. Platform-proxy routing is not wired yet.
      </p>
      {known.length === 0 && instance.access.length > 0 && <NoToken />}
    </div>
  );
}

interface CredentialsProps {
  readonly credentials: readonly EndpointCredential[];
  readonly isHidden: boolean;
  readonly onHidden: (isHidden: boolean) => void;
}

function Credentials({ credentials, isHidden, onHidden }: CredentialsProps) {
  return (
    <Section
      title="Token, shown once"
      actions={<Button onClick={() => onHidden(!isHidden)}>{isHidden ? 'Show' : 'Hide'}</Button>}
    >
      <p>
        Copy it now if you need it later. It is in the memory of this page only and stored nowhere: it is gone when the
        page is loaded again.
      </p>
      {!isHidden &&
        credentials.map(({ endpoint, token }) => (
          <div key={endpoint} class="command">
            <span class="muted">{cleanLine(endpoint)}</span>
            <CopyText text={token} what={`the token of ${cleanLine(endpoint)}`} block />
          </div>
        ))}
    </Section>
  );
}

/** What there is instead of a second look at a token. */
function NoToken() {
  return (
    <details class="muted">
      <summary>I need the token and do not have it</summary>
      <p>
        A token is shown once, after the launch, and kept nowhere in the clear, so it cannot be shown again and there is
        no new one for a running instance. Launch the app as a new instance to get one; decommission this one when you
        need it no more.
      </p>
    </details>
  );
}

function NotReachable({ instance: { state, host_ports } }: { readonly instance: InstanceView }) {
  const ports = Object.entries(host_ports);
  return (
    <Empty title={state === 'decommissioned' ? 'It is gone.' : 'It cannot be reached just now.'}>
      {state !== 'decommissioned' && (
        <>
          <p>The way to each endpoint is shown here once it runs.</p>
          {ports.length > 0 && (
            <p>Ports that it has on its node: {ports.map(([name, port]) => `${name} ${port}`).join(', ')}.</p>
          )}
        </>
      )}
    </Empty>
  );
}

interface EndpointProps {
  readonly access: Access;
  readonly instance: InstanceView;
  readonly credential: EndpointCredential | undefined;
}

function Endpoint({ access, instance, credential }: EndpointProps) {
  const name = cleanLine(access.endpoint);
  const port = instance.host_ports[access.endpoint] ?? 0;
  const member = instance.members.find(({ endpoints }) => endpoints.some((each) => each.name === access.endpoint));
  const state = member?.state ?? instance.state;
  return (
    <Section
      title={`Endpoint ${name}`}
      actions={
        <span class="row">
          <span class="muted">{instance.about.exposure_mode}</span>
          <Badge state={state} />
        </span>
      }
    >
      <ol class="ways">
        <li>
          <p>Open the tunnel on your own computer and leave it open:</p>
          {access.tunnel === null ? (
            <p class="muted">
              Nobody said how to log in to its node. Ask an operator for an account there, or to set `ssh` of the
              allocation; the port is {port}.
            </p>
          ) : (
            <CopyText text={access.tunnel} what={`the tunnel command of ${name}`} block />
          )}
        </li>
        <li>
          <UseStep use={useOf(access, port, credential)} name={name} />
        </li>
      </ol>
    </Section>
  );
}

function UseStep({ use, name }: { readonly use: Use; readonly name: string }) {
  switch (use.kind) {
    case 'ask':
      return (
        <>
          <p>Ask it from another terminal{use.needsToken && ', with its token in place of $TOKEN'}:</p>
          <CopyText text={use.text} what={`the request to ${name}`} block />
        </>
      );
    case 'connect':
      return (
        <>
          <p>Connect your client to:</p>
          <CopyText text={use.text} what={`the address of ${name}`} block />
        </>
      );
    case 'open':
      return (
        <>
          <p>
            Then{' '}
            <a href={use.text} target="_blank" rel="noopener noreferrer">
              open {name} in a new tab
            </a>
            {use.needsToken ? '. It may ask for its token.' : '. The address has its token: share it with nobody.'}
          </p>
          <CopyText text={use.text} what={`the address of ${name}`} block />
        </>
      );
  }
}
