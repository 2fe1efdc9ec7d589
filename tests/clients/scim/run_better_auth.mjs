// Better Auth with nothing but its SCIM plug-in, on a SQLite file in the working directory. Listens on PORT, takes TOKEN.
import { createServer } from 'node:http';
import { LibsqlDialect } from '@libsql/kysely-libsql';
import { scim } from '@better-auth/scim';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import { Kysely } from 'kysely';

const port = Number(process.env.PORT);
const db = new Kysely({ dialect: new LibsqlDialect({ url: 'file:store.sqlite' }) });
const credentials = [{ type: 'bearer', id: 'gateway', token: process.env.TOKEN }];
const options = {
  baseURL: `http://127.0.0.1:${port}/api/auth`,
  secret: 'a-secret-for-tests-a-secret-for-tests',
  rateLimit: { enabled: false },
  database: { db, type: 'sqlite', transaction: true },
  plugins: [scim({ connections: [{ id: 'directory', credentials }] })],
};
await (await getMigrations(options)).runMigrations();
createServer(toNodeHandler(betterAuth(options))).listen(port, '127.0.0.1');
