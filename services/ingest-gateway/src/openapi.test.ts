import { expect, test } from '@jest/globals';
import { writeTypes } from '@millrace/domain';
import { openapiJson } from './openapi.ts';
import { writePaths } from './write/paths.ts';

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: object }>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, { readonly properties?: object }>> };
}
const text = openapiJson();
const document = JSON.parse(text) as Document;

test('the description names every path that takes writes, and every type of write', () => {
  expect(document.openapi).toMatch(/^3\.1\./);
  for (const { template } of writePaths) expect(document.paths[template]?.['post']?.responses).toHaveProperty('202');
  for (const type of writeTypes.keys()) expect(document.components.schemas[type]?.properties).toBeDefined();
});

test('every reference in the description leads somewhere', () => {
  for (const [, kind, name] of text.matchAll(/"#\/components\/(\w+)\/([\w.]+)"/g)) {
    expect(document.components).toHaveProperty([String(kind), String(name)]);
  }
});

test('a body does not ask again for what the path says', () => {
  expect(text).toContain('/v1/accounts/{account}/deposits');
  const deposit = JSON.stringify(document.paths['/v1/accounts/{account}/deposits']?.['post']);
  expect(deposit).not.toContain('"required":["account"');
});
