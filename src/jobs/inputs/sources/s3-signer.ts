/** Signs requests to a bucket. Nothing is signed for another origin than its own. */
import { AwsV4Signer } from 'aws4fetch';
import { type Authorize, anonymous } from '../client.ts';

export interface S3Key {
  readonly origin: string;
  readonly region: string;
  readonly credential: Readonly<Record<string, string>> | undefined;
}

export function signerOf({ origin, region, credential }: S3Key): Authorize {
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey } = credential ?? {};
  if (accessKeyId === undefined || secretAccessKey === undefined) return anonymous;
  return async (url) => {
    if (url.origin !== origin) return {};
    const signer = new AwsV4Signer({ url: url.href, accessKeyId, secretAccessKey, region, service: 's3' });
    return Object.fromEntries((await signer.sign()).headers);
  };
}
