import { Controller, Get, Req, Res } from '@nestjs/common';
import { ApiOperation, ApiProperty, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Public } from '../security/access.decorators';
import { ApiData } from './api-docs';

const LINKS = {
  docs: '/docs',
  redoc: '/redoc',
  openapi: '/openapi.json',
  live: '/health/live',
  ready: '/health/ready',
  metrics: '/metrics',
};

class HomeResponse implements Record<keyof typeof LINKS, string> {
  @ApiProperty({ description: 'Swagger UI.', example: LINKS.docs })
  docs!: string;

  @ApiProperty({ description: 'ReDoc.', example: LINKS.redoc })
  redoc!: string;

  @ApiProperty({ description: 'The OpenAPI document.', example: LINKS.openapi })
  openapi!: string;

  @ApiProperty({ description: 'Whether the process runs.', example: LINKS.live })
  live!: string;

  @ApiProperty({ description: 'Whether the process can serve.', example: LINKS.ready })
  ready!: string;

  @ApiProperty({ description: 'The metrics of this process, for Prometheus.', example: LINKS.metrics })
  metrics!: string;
}

/** What a visitor sees who knows only the address. */
@ApiTags('Operations')
@Controller()
export class HomeController {
  @Get()
  @Public()
  @ApiOperation({
    summary: 'Where to go from here',
    description: 'A browser, which accepts `text/html`, is redirected to `/docs`.',
  })
  @ApiData(HomeResponse, 'Paths of this service.')
  @ApiResponse({ status: 303, description: 'To a browser: see `/docs`.' })
  home(@Req() { headers }: FastifyRequest, @Res() reply: FastifyReply): FastifyReply {
    void reply.header('Vary', 'Accept');
    return headers.accept?.includes('text/html') ? reply.redirect(LINKS.docs, 303) : reply.send(LINKS);
  }
}
