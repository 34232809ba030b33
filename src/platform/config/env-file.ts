import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';

// To be imported before anything else, because some decorators read settings. What the environment has set wins.
if (existsSync('.env')) {
  loadEnvFile('.env');
}
