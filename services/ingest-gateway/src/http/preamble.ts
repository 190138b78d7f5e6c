/** What every write shows in its headers, checked before its body is read. */
import type { IncomingMessage } from 'node:http';
import type { Tenant } from '@millrace/write';
import type { ApiKeys } from '../auth/api-keys.ts';
import { Refusal } from './answer.ts';

/** The tenant that a request speaks for, or the refusal. */
export function tenantOrRefusal(keys: ApiKeys, req: IncomingMessage): Tenant | Refusal {
  return keys.tenantOf(req.headers.authorization) ?? unauthorized();
}

export function unauthorized(): Refusal {
  return new Refusal('unauthorized', undefined, { headers: ['WWW-Authenticate', 'Bearer realm="millrace"'] });
}

/** The refusal of a body that is coded, or of another type than `accepted`; a missing type is taken as it. */
export function refusesContent(req: IncomingMessage, accepted: RegExp, named: string): Refusal | undefined {
  const { headers } = req;
  const coding = headers['content-encoding'];
  if (coding !== undefined && coding !== 'identity') return new Refusal('unsupported_media_type', `Content-Encoding: ${coding.slice(0, 64)}`);
  const type = headers['content-type'];
  if (type === undefined || type === named || accepted.test(type)) return undefined;
  return new Refusal('unsupported_media_type', `the resource takes ${named}`);
}
