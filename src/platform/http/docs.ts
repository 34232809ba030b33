import { readFile } from 'node:fs/promises';
import { join, dirname } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

const REDOC_LOGO = 'https://cdn.redoc.ly/redoc/logo-mini.svg';
const REDOC_PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Holdfast API</title></head>
<body>
<redoc spec-url="/openapi.json" disable-search="false"></redoc>
<script src="/redoc/redoc.js"></script>
</body>
</html>
`;

/** Swagger UI at /docs, ReDoc at /redoc, the document at /openapi.json: all served locally, without a CDN. */
export async function serveDocs(app: NestFastifyApplication, document: OpenAPIObject): Promise<void> {
  const json = JSON.stringify(document);
  SwaggerModule.setup('docs', app, document, { customSiteTitle: 'Holdfast API', raw: false });
  const server = app.getHttpAdapter().getInstance();
  const file = join(dirname(require.resolve('redoc/package.json')), 'bundles', 'redoc.standalone.js');
  // The only thing that the page would fetch from another host: a logo in its corner.
  const bundle = (await readFile(file, 'utf8')).replaceAll(REDOC_LOGO, 'data:,');
  server.get('/openapi.json', (_request, reply) => reply.type('application/json; charset=utf-8').send(json));
  server.get('/redoc', (_request, reply) => reply.type('text/html; charset=utf-8').send(REDOC_PAGE));
  server.get('/redoc/redoc.js', (_request, reply) => reply.type('text/javascript; charset=utf-8').send(bundle));
}
