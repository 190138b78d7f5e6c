export type { About } from './openapi.ts';
export { Refused } from './refused.ts';
export { Later, route, type Route, type RouteFacts } from './route.ts';
export { startAdmin, type AdminInput } from './server.ts';
export { readAdminToken } from './token.ts';
