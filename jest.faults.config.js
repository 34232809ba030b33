// Faults of the database, the network and the process: real processes, some minutes, and so not part of `npm test`.
module.exports = {
  ...require('./jest.config.js'),
  roots: ['<rootDir>/test/faults'],
  testRegex: '\\.fault-spec\\.ts$',
  globalSetup: undefined,
  globalTeardown: undefined,
  maxWorkers: 2,
  testTimeout: 120_000,
};
