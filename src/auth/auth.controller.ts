import { Body, Controller, Get, Header, HttpCode, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Answer } from '../platform/http/answer';
import { ApiData, ApiProblems } from '../platform/http/api-docs';
import { Idempotency, type IdempotentRequest } from '../platform/idempotency/idempotent-request';
import { Public } from '../platform/security/access.decorators';
import { Caller, type UserActor } from '../platform/security/actor';
import { LoginBody, RegisterBody, TokenResponse, UserResponse } from './auth.dto';
import { AuthService } from './auth.service';

@ApiTags('Auth')
@Controller('api/auth')
export class AuthController {
  constructor(private readonly auth: AuthService) {}

  @Post('register')
  @Public()
  @ApiOperation({
    summary: 'Register a user',
    description:
      'Rate-limited per address, together with log-ins. Without a token, an Idempotency-Key is scoped to the address too. An IPv6 /64 counts as one address.',
  })
  @ApiData(UserResponse, 'The user, with the role `user`.', 201)
  @ApiProblems('duplicate')
  register(@Body() body: RegisterBody, @Idempotency() request: IdempotentRequest): Promise<Answer<UserResponse>> {
    return this.auth.register(body, request);
  }

  @Post('login')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  @Public()
  @ApiOperation({
    summary: 'Get a token for email and password',
    description:
      'Changes nothing, so it stores no Idempotency-Key: every log-in makes a new token. Rate-limited per address, together with registrations.',
  })
  @ApiData(TokenResponse, 'A token.')
  @ApiProblems('unauthenticated')
  login(@Body() body: LoginBody, @Idempotency() _checkedOnly: IdempotentRequest): Promise<TokenResponse> {
    return this.auth.login(body);
  }

  @Get('me')
  @ApiOperation({ summary: 'Who the caller is' })
  @ApiData(UserResponse, 'The caller.')
  me(@Caller() caller: UserActor): Promise<UserResponse> {
    return this.auth.me(caller);
  }
}
