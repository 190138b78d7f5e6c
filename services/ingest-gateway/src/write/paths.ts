/** The resources that take single writes, in one table: the router and the API's description both read it. */
import {
  accountDeposit,
  accountOpen,
  orderCancel,
  orderPlace,
  orderReturn,
  paymentAuthorize,
  paymentCapture,
  paymentRefund,
  paymentVoid,
  stockReceive,
  transferPlace,
  writeTypes,
  type AnyWriteType,
} from '@millrace/domain';
import { must } from '@millrace/write';
import { Refusal } from '../http/answer.ts';
import { decodeSegment } from '../http/path.ts';
import { limits } from '../limits.ts';
import { invalid, type Fields } from './prepare.ts';

export interface WritePath {
  /** As OpenAPI writes it. */
  readonly template: string;
  readonly summary: string;
  /** The field of the data that stands in the path. */
  readonly parameter?: string;
  /** What a body can become. */
  readonly types: readonly AnyWriteType[];
  /** The type of write that a body asks for; takes out of the body what is not data. */
  choose(body: Fields): AnyWriteType | Refusal;
}

export interface MatchedWrite {
  readonly path: WritePath;
  /** The segment that the parameter names, as it stands in the URL. */
  readonly segment: string;
}

const PREFIX = '/v1/';

export const writePaths: readonly WritePath[] = [
  one('/v1/accounts', accountOpen.type),
  one('/v1/accounts/{account}/deposits', accountDeposit.type),
  {
    template: '/v1/payments',
    summary: 'Authorize a payment, or with `capture` also capture it',
    types: [typeNamed(paymentAuthorize.type), typeNamed(paymentCapture.type)],
    choose: authorizeOrCapture,
  },
  one('/v1/payments/{payment}/capture', paymentCapture.type),
  one('/v1/payments/{payment}/void', paymentVoid.type),
  one('/v1/payments/{payment}/refund', paymentRefund.type),
  one('/v1/stock/{sku}/receipts', stockReceive.type),
  one('/v1/orders', orderPlace.type),
  one('/v1/orders/{order}/cancel', orderCancel.type),
  one('/v1/orders/{order}/returns', orderReturn.type),
  one('/v1/transfers', transferPlace.type),
];

/** `accounts` or `accounts/deposits`: the fixed segments after /v1. */
const pathByShape = new Map(writePaths.map((path) => [shapeOf(path.template), path]));

/** The write that a POST to this path asks for; undefined where no resource takes single writes there. */
export function matchWrite(path: string): MatchedWrite | undefined {
  if (!path.startsWith(PREFIX)) return undefined;
  const nounEnd = path.indexOf('/', PREFIX.length);
  if (nounEnd < 0) return matched(path.slice(PREFIX.length), '');
  const segmentEnd = path.indexOf('/', nounEnd + 1);
  if (segmentEnd < 0) return undefined;
  return matched(path.slice(PREFIX.length, nounEnd) + path.slice(segmentEnd), path.slice(nounEnd + 1, segmentEnd));
}

/** The type and the data of a body that came to a path. Changes the body. */
export function writeOf({ path, segment }: MatchedWrite, body: Fields): { writeType: AnyWriteType; data: Fields } | Refusal {
  const { parameter } = path;
  if (parameter !== undefined) {
    if (Object.hasOwn(body, parameter)) return invalid([{ path: parameter, message: 'stands in the path, not in the body' }]);
    const id = decodeSegment(segment, limits.parameterCharsMax);
    if (id === undefined) return new Refusal('invalid_parameter', parameter);
    body[parameter] = id;
  }
  const writeType = path.choose(body);
  return writeType instanceof Refusal ? writeType : { writeType, data: body };
}

function matched(shape: string, segment: string): MatchedWrite | undefined {
  const path = pathByShape.get(shape);
  return path && { path, segment };
}

function one(template: string, type: string): WritePath {
  const writeType = typeNamed(type);
  const parameter = /\{(\w+)\}/.exec(template)?.[1];
  return { template, summary: writeType.summary, ...(parameter === undefined ? {} : { parameter }), types: [writeType], choose: () => writeType };
}

function authorizeOrCapture(body: Fields): AnyWriteType | Refusal {
  const { capture } = body;
  if (capture === undefined) return typeNamed(paymentAuthorize.type);
  if (typeof capture !== 'boolean') return invalid([{ path: 'capture', message: 'must be true or false' }]);
  delete body['capture'];
  if (capture && body['currency'] === undefined) return invalid([{ path: 'currency', message: 'is required' }]);
  return typeNamed(capture ? paymentCapture.type : paymentAuthorize.type);
}

function typeNamed(type: string): AnyWriteType {
  return must(writeTypes.get(type), `the domain knows ${type}`);
}

function shapeOf(template: string): string {
  return template.slice(PREFIX.length).replace(/\/\{\w+\}/, '');
}
