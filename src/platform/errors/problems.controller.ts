import { Controller, Get, Header, Param } from '@nestjs/common';
import { ApiOperation, ApiParam, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import { ApiProblems } from '../http/api-docs';
import { Public } from '../security/access.decorators';
import { NotFound } from './domain-errors';
import { type Problem, PROBLEMS, type ProblemCode } from './problem-catalogue';

const DASHED_CODES = Object.keys(PROBLEMS).map((code) => code.replaceAll('_', '-'));

@ApiTags('Operations')
@Controller('problems')
export class ProblemsController {
  @Get(':code')
  @Public()
  @Header('Content-Type', 'text/html; charset=utf-8')
  @ApiOperation({
    summary: 'What a problem means and what to do about it',
    description: 'The page that the `type` of a problem points to.',
  })
  @ApiParam({ name: 'code', description: 'The code with dashes.', enum: DASHED_CODES })
  @ApiProduces('text/html')
  @ApiResponse({ status: 200, description: 'A small page.', schema: { type: 'string' } })
  @ApiProblems('not_found')
  read(@Param('code') dashed: string): string {
    const code = dashed.replaceAll('-', '_');
    if (!Object.hasOwn(PROBLEMS, code) || dashed.includes('_')) {
      throw new NotFound('such problem');
    }
    return pageOf(code, PROBLEMS[code as ProblemCode]);
  }
}

function pageOf(code: string, { status, title, meaning, remedy }: Problem): string {
  const html = (text: string): string => text.replaceAll('<', '&lt;').replace(/`([^`]+)`/g, '<code>$1</code>');
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title></head>
<body>
<h1>${title}</h1>
<p><code>${code}</code>, HTTP ${status}</p>
<h2>What it means</h2>
<p>${html(meaning)}</p>
<h2>What to do</h2>
<p>${html(remedy)}</p>
</body>
</html>
`;
}
