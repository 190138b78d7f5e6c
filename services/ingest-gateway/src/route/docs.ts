/** GET /openapi.json and the pages under /docs: Swagger UI from its own package, nothing from elsewhere. */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import express, { Router } from 'express';
import { sendJson } from '../http/answer.ts';

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Millrace API</title>
    <link rel="stylesheet" href="swagger-ui.css">
    <link rel="icon" type="image/png" href="favicon-32x32.png" sizes="32x32">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="swagger-ui-bundle.js"></script>
    <script src="start.js"></script>
  </body>
</html>
`;
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null });
`;
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

export function docsRoutes(openapi: string): Router {
  const files = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  return Router()
    .get('/openapi.json', (_req, res) => sendJson(res, 200, openapi))
    .use('/docs', (_req, res, next) => {
      res.setHeader('Content-Security-Policy', POLICY);
      res.setHeader('X-Content-Type-Options', 'nosniff');
      next();
    })
    .get('/docs', (req, res) => {
      // Relative links of the page need the slash.
      if (req.path.endsWith('/')) res.type('html').send(PAGE);
      else res.redirect(301, '/docs/');
    })
    .get('/docs/start.js', (_req, res) => void res.type('js').send(START))
    .use('/docs', express.static(files, { index: false, redirect: false, dotfiles: 'ignore' }));
}
