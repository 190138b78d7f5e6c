/** One preset for every test of the workspace: sources run as ESM through swc, packages resolve to their src. */
module.exports = {
  rootDir: '..',
  testMatch: ['<rootDir>/libs/*/src/**/*.test.ts', '<rootDir>/services/*/src/**/*.test.ts', '<rootDir>/test/{integration,system,fault}/**/*.test.ts'],
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['@millrace/source', 'node'] },
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': ['@swc/jest', { swcrc: false, jsc: { parser: { syntax: 'typescript', explicitResourceManagement: true }, target: 'es2024' }, module: { type: 'es6' }, sourceMaps: 'inline' }],
  },
  modulePathIgnorePatterns: ['<rootDir>/libs/.*/dist', '<rootDir>/services/.*/dist'],
  maxWorkers: 2,
  // Only what hangs is to end by it: a machine may be many times slower than the one that this was written on.
  testTimeout: 300_000,
};
