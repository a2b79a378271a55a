/** Registers an image by the digest that was pushed. */
import { useState } from 'preact/hooks';
import type { ArtifactView } from '../../../server/artifacts/routes.ts';
import { api } from '../../lib/api.ts';
import { useAction } from '../../lib/use-action.ts';
import { Button } from '../../parts/button.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Select, TextInput } from '../../parts/field.tsx';

const mediaTypes = [
  { value: 'application/vnd.oci.image.manifest.v1+json', label: 'OCI image' },
  { value: 'application/vnd.oci.image.index.v1+json', label: 'OCI index of images per platform' },
  { value: 'application/vnd.docker.distribution.manifest.v2+json', label: 'Docker image' },
];

export interface RegisterDialogProps {
  readonly onClose: () => void;
  readonly onRegistered: (artifact: ArtifactView) => void;
}

export function RegisterDialog({ onClose, onRegistered }: RegisterDialogProps) {
  const [name, setName] = useState('');
  const [repository, setRepository] = useState('');
  const [digest, setDigest] = useState('');
  const [mediaType, setMediaType] = useState(mediaTypes[0]?.value ?? '');
  const [source, setSource] = useState('');
  const [revision, setRevision] = useState('');
  const { busy, error, run } = useAction();
  const isMissing = [name, repository, digest].some((value) => value.trim() === '');
  const provenance = Object.fromEntries(
    Object.entries({ source: source.trim(), revision: revision.trim() }).filter(([, value]) => value !== ''),
  );
  const register = () =>
    run(async () => {
      const body = { name: name.trim(), repository: repository.trim(), digest: digest.trim(), media_type: mediaType };
      onRegistered(await api.post<ArtifactView>('/api/v1/artifacts', { ...body, provenance }));
    }, 'The image was registered. Verify it next.');
  const fault = (path: string) => error?.errors.find((each) => each.path === path)?.message;
  return (
    <Dialog
      title="Register an image"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            tone="primary"
            busy={busy}
            disabledReason={isMissing ? 'Name, repository and digest are needed.' : undefined}
            onClick={register}
          >
            Register
          </Button>
        </>
      }
    >
      <p>The image has to be in the registry already. It is believed only after it was verified there.</p>
      <TextInput
        label="Name"
        hint="As manifests name it, for example runtime-cpu."
        error={fault('/name')}
        value={name}
        onValue={setName}
      />
      <TextInput
        label="Repository"
        hint="Registry and repository, without tag and digest."
        error={fault('/repository')}
        value={repository}
        onValue={setRepository}
      />
      <TextInput
        label="Digest"
        hint="sha256: and 64 digits, as the push printed it."
        error={fault('/digest')}
        value={digest}
        onValue={setDigest}
      />
      <Select label="What the digest names" value={mediaType} onValue={setMediaType} choices={mediaTypes} />
      <TextInput label="Built from repository" required={false} value={source} onValue={setSource} />
      <TextInput label="Built from revision" required={false} value={revision} onValue={setRevision} />
      {error && <FailureView error={error} />}
    </Dialog>
  );
}
