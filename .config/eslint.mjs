/** One lint configuration: type-aware TypeScript rules, and the boundaries of the workspace as tags. */
import js from '@eslint/js';
import nx from '@nx/eslint-plugin';
import ts from 'typescript-eslint';

const PURE = ['kind:pure'];
const INFRA = [...PURE, 'kind:infra'];
const CORE = [...INFRA, 'kind:core'];
const TOOL = [...INFRA, 'kind:tool', 'kind:checker'];

const boundaries = {
  enforceBuildableLibDependency: false,
  allow: [],
  depConstraints: [
    { sourceTag: 'kind:pure', onlyDependOnLibsWithTags: PURE, bannedExternalImports: ['kafkajs', 'pg', 'express', 'opossum', 'prom-client', 'pino'] },
    { sourceTag: 'kind:infra', onlyDependOnLibsWithTags: INFRA },
    { sourceTag: 'kind:core', onlyDependOnLibsWithTags: CORE },
    // The checker has its own model: what it judges must not lend it a line.
    { sourceTag: 'kind:checker', onlyDependOnLibsWithTags: [...INFRA, 'kind:checker'], notDependOnLibsWithTags: ['kind:domain'] },
    { sourceTag: 'kind:tool', onlyDependOnLibsWithTags: TOOL },
    // A service never imports a service.
    { sourceTag: 'kind:service', onlyDependOnLibsWithTags: [...CORE, ...TOOL] },
    { sourceTag: 'kind:test', onlyDependOnLibsWithTags: ['*'] },
  ],
};

/** Each outside library that acts has one home. */
const HOMES = [
  { name: 'kafkajs', message: 'kafkajs has one home: @millrace/kafka.' },
  { name: 'pg', message: 'pg has one home: @millrace/postgres.' },
  { name: 'opossum', message: 'opossum has one home: @millrace/runtime.' },
];
const home = (...names) => ({ 'no-restricted-imports': ['error', { paths: HOMES.filter(({ name }) => !names.includes(name)) }] });

export default ts.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '.nx/**', '.millrace/**'] },
  js.configs.recommended,
  { files: ['**/*.mjs', '**/*.cjs'], languageOptions: { globals: { process: 'readonly', console: 'readonly', module: 'writable', require: 'readonly', URL: 'readonly', setTimeout: 'readonly', clearTimeout: 'readonly', Buffer: 'readonly' } } },
  {
    files: ['**/*.ts'],
    extends: [ts.configs.recommendedTypeChecked],
    plugins: { '@nx': nx },
    languageOptions: { parserOptions: { project: ['libs/*/tsconfig.json', 'services/*/tsconfig.json', 'test/tsconfig.json'], tsconfigRootDir: new URL('..', import.meta.url).pathname } },
    rules: {
      '@nx/enforce-module-boundaries': ['error', boundaries],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      // Parts are objects of closures: none of their methods uses `this`.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/restrict-template-expressions': 'off',
      'no-restricted-globals': ['error', { name: 'JSON', message: 'JSON has one home: @millrace/wire.' }],
      'max-lines': ['error', { max: 330, skipBlankLines: true, skipComments: true }],
      eqeqeq: 'error',
      'prefer-const': ['error', { ignoreReadBeforeAssign: true }],
      ...home(),
    },
  },
  { files: ['libs/kafka/**/*.ts'], rules: home('kafkajs') },
  { files: ['libs/postgres/**/*.ts'], rules: home('pg') },
  { files: ['libs/runtime/**/*.ts'], rules: home('opossum') },
  { files: ['libs/wire/**/*.ts', '**/*.test.ts', 'test/**/*.ts'], rules: { 'no-restricted-globals': 'off' } },
  // A test may run a service inside its own process, and a turn by itself.
  { files: ['test/**/*.ts'], rules: { '@nx/enforce-module-boundaries': ['error', { ...boundaries, allow: ['../../services/**', '../../libs/slot-processor/src/**'] }] } },
  {
    files: ['**/*.test.ts', '**/testing/**/*.ts', 'test/**/*.ts'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off', '@typescript-eslint/no-base-to-string': 'off', 'max-lines': 'off', '@typescript-eslint/no-unsafe-assignment': 'off', '@typescript-eslint/no-unsafe-member-access': 'off', '@typescript-eslint/no-unsafe-argument': 'off', 'no-restricted-imports': 'off' },
  },
);
