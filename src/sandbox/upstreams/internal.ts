/**
 * Duty: api.internal.test of the sandbox, an in-house HTTP API with a static key in `X-API-Key`.
 * In → Out: request → JSON.
 * Holds: at most 1000 orders, in memory.
 */
import { judgeKey } from './bearer-key.ts';
import type { SandboxKeys } from './keys.ts';
import { jsonAnswer, jsonObject, type Upstream } from './message.ts';

const MAX_ORDERS = 1000;
const ROUTE = /^\/v1\/orders\/([0-9]{1,9})$/;

interface Order {
  readonly id: number;
  readonly item: string;
  readonly quantity: number;
}

export function createInternal(registry: SandboxKeys): Upstream {
  const orders: Order[] = [
    { id: 1, item: 'oak desk', quantity: 2 },
    { id: 2, item: 'reading lamp', quantity: 5 },
  ];
  return (request) => {
    const { judgement, isAccepted } = judgeKey(registry, request, 'internal', ['x-api-key']);
    if (!isAccepted) return jsonAnswer(judgement, 401, { error: 'a valid X-API-Key is required' });
    if (request.path === '/v1/orders') {
      if (request.method === 'GET') return jsonAnswer(judgement, 200, { orders });
      if (request.method !== 'POST') return jsonAnswer(judgement, 405, { error: 'method not allowed' });
      const body = jsonObject(request.body);
      const { item, quantity } = (body ?? {}) as Partial<Record<'item' | 'quantity', unknown>>;
      if (typeof item !== 'string' || item.length > 200 || typeof quantity !== 'number') {
        return jsonAnswer(judgement, 400, { error: 'item and quantity are required' });
      }
      if (orders.length >= MAX_ORDERS) return jsonAnswer(judgement, 409, { error: 'no more orders are taken' });
      const order = { id: orders.length + 1, item, quantity };
      orders.push(order);
      return jsonAnswer(judgement, 201, order);
    }
    const id = ROUTE.exec(request.path)?.[1];
    const order = id === undefined ? undefined : orders.find((entry) => `${entry.id}` === id);
    if (order === undefined || request.method !== 'GET') return jsonAnswer(judgement, 404, { error: 'not found' });
    return jsonAnswer(judgement, 200, order);
  };
}
