// On Node before 24.9 Jest cannot require() an ES module, and every @nestjs package is one. So swc
// compiles the ES modules among our dependencies to CommonJS as well, and leaves the rest alone.
const fs = require('node:fs');
const path = require('node:path');

const isEsModule = (folder) => {
  const file = path.join(__dirname, folder, 'package.json');
  return fs.existsSync(file) && JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
};
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const esModules = Object.keys(require('./package-lock.json').packages)
  .filter((folder) => folder.startsWith('node_modules/') && isEsModule(folder))
  .map((folder) => escaped(folder.slice('node_modules/'.length)));

const typescript = {
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
  },
  module: { type: 'commonjs' },
};
const javascript = { jsc: { target: 'es2022', parser: { syntax: 'ecmascript' } }, module: { type: 'commonjs' } };

module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testRegex: '\\.(spec|e2e-spec)\\.ts$',
  transform: {
    '^.+\\.ts$': ['@swc/jest', typescript],
    '^.+\\.m?js$': ['@swc/jest', javascript],
  },
  transformIgnorePatterns: [`^${escaped(__dirname)}/node_modules/(?!(${esModules.join('|')})/)`],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // One more than the cores of the smallest machine: many tests wait, for a lock that is not given or a server that starts.
  maxWorkers: 3,
  testTimeout: 30_000,
};
