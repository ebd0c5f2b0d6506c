/**
 * Duty: the proxy's own service-account token, which the kubelet replaces in its file.
 * In → Out: path → the token of now.
 * Fails: `identity_required` where the file holds none.
 */
import { unproven } from './json-request.ts';
import { WatchedFile } from './watched-file.ts';

export function readBearer(path: string): () => string {
  const file = new WatchedFile(path, (text) => text.trim());
  return () => {
    const token = file.current();
    if (token === null || !/^[A-Za-z0-9._~+/-]+=*$/.test(token))
      throw unproven('the file with the token of the proxy holds none');
    return token;
  };
}
