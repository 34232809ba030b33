import { DataSource } from 'typeorm';
import { loadConfig } from './platform/config/app-config';
import { typeormOptions } from './platform/database/typeorm-options';

const { databaseUrl = '', databaseMigrationUrl = databaseUrl } = loadConfig();

/** For the TypeORM command line, which cannot start the embedded database: DATABASE_URL must be set. */
export default new DataSource(typeormOptions(databaseMigrationUrl));
