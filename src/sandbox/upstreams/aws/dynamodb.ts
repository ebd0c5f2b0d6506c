/**
 * Duty: DynamoDB of the sandbox: PutItem, GetItem, DeleteItem, ListTables.
 * In → Out: verified request → JSON 1.0 with `x-amz-crc32`, which the SDKs check.
 * Holds: tables come into being with their first item; the key of an item is its `pk` and `sk`, or else its `id`;
 *   at most 1000 items of 400 KiB, in memory.
 */
import { crc32 } from 'node:zlib';
import { bytesAnswer, type Judgement, jsonObject, newId, type SandboxAnswer, type SandboxRequest } from '../message.ts';

type Item = Readonly<Record<string, unknown>>;

const TARGET = /^DynamoDB_20120810\.([A-Za-z]{1,64})$/;
const TABLE_NAME = /^[A-Za-z0-9_.-]{3,255}$/;
const MAX_ITEMS = 1000;
const MAX_ITEM_BYTES = 400 * 1024;
const MAX_TOTAL_BYTES = 32 * 1024 * 1024;

export class DynamoDb {
  readonly #items = new Map<string, { readonly table: string; readonly item: Item; readonly bytes: number }>();
  #totalBytes = 0;

  answer(judgement: Judgement, request: SandboxRequest): SandboxAnswer {
    const operation = TARGET.exec(request.headers.get('x-amz-target') ?? '')?.[1];
    const body = jsonObject(request.body);
    if (operation === undefined || request.method !== 'POST') return failed(judgement, 'UnknownOperationException', '');
    if (body === null) return failed(judgement, 'SerializationException', 'The body is not a JSON object');
    if (operation === 'ListTables') return answered(judgement, { TableNames: this.#tables() });
    const table = body['TableName'];
    if (typeof table !== 'string' || !TABLE_NAME.test(table))
      return failed(judgement, 'ValidationException', 'TableName');
    const key = keyOf(table, body[operation === 'PutItem' ? 'Item' : 'Key']);
    if (key === null) return failed(judgement, 'ValidationException', 'The key needs pk and sk, pk, or id');
    if (operation === 'PutItem') return this.#put(judgement, table, key, body['Item'] as Item, request.body.length);
    const stored = this.#items.get(key);
    if (operation === 'GetItem') return answered(judgement, stored === undefined ? {} : { Item: stored.item });
    if (operation !== 'DeleteItem') return failed(judgement, 'UnknownOperationException', operation);
    this.#items.delete(key);
    this.#totalBytes -= stored?.bytes ?? 0;
    return answered(judgement, {});
  }

  #put(judgement: Judgement, table: string, key: string, item: Item, bytes: number): SandboxAnswer {
    const before = this.#items.get(key);
    const total = this.#totalBytes + bytes - (before?.bytes ?? 0);
    if (bytes > MAX_ITEM_BYTES) return failed(judgement, 'ValidationException', 'Item size has exceeded the maximum');
    if ((before === undefined && this.#items.size >= MAX_ITEMS) || total > MAX_TOTAL_BYTES) {
      return failed(judgement, 'LimitExceededException', 'The sandbox keeps no more items');
    }
    this.#items.set(key, { table, item, bytes });
    this.#totalBytes = total;
    return answered(judgement, {});
  }

  #tables(): string[] {
    return [...new Set([...this.#items.values()].map(({ table }) => table))].sort();
  }
}

function keyOf(table: string, attributes: unknown): string | null {
  if (typeof attributes !== 'object' || attributes === null) return null;
  const { pk, sk, id } = attributes as Record<'pk' | 'sk' | 'id', unknown>;
  if (pk === undefined && id === undefined) return null;
  return JSON.stringify([table, pk ?? null, sk ?? null, pk === undefined ? id : null]);
}

function answered(judgement: Judgement, value: unknown, status = 200): SandboxAnswer {
  const body = Buffer.from(JSON.stringify(value));
  return bytesAnswer(judgement, status, 'application/x-amz-json-1.0', body, [
    ['x-amz-crc32', `${crc32(body)}`],
    ['x-amzn-requestid', newId('').toUpperCase()],
  ]);
}

const failed = (judgement: Judgement, code: string, message: string): SandboxAnswer =>
  answered(judgement, { __type: `com.amazonaws.dynamodb.v20120810#${code}`, message }, 400);
