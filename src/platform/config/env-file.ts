import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';

// Import this before anything else, because some decorators read settings. Variables of the environment win.
if (existsSync('.env')) {
  loadEnvFile('.env');
}
