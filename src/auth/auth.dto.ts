import { ApiProperty } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { IsString, Length, MaxLength } from 'class-validator';
import { IsEmailAddress, IsText, IsWellFormed } from '../platform/http/validators';
import { ROLES, type Role } from '../platform/security/actor';
import type { User } from './user.entity';

const lowerCase = ({ value }: { value: unknown }): unknown => (typeof value === 'string' ? value.toLowerCase() : value);

export class RegisterBody {
  @ApiProperty({
    example: 'ada@example.com',
    maxLength: 254,
    description: 'Unique regardless of case; stored in lower case.',
  })
  @Transform(lowerCase)
  @IsEmailAddress()
  @MaxLength(254)
  email!: string;

  @ApiProperty({ example: 'correct horse battery', minLength: 12, maxLength: 128 })
  @IsString()
  @Length(12, 128)
  @IsWellFormed()
  password!: string;
}

export class LoginBody {
  @ApiProperty({ example: 'ada@example.com' })
  @Transform(lowerCase)
  @IsText({ max: 254 })
  email!: string;

  @ApiProperty({ example: 'correct horse battery' })
  @IsString()
  @MaxLength(128)
  @IsWellFormed()
  password!: string;
}

export class UserResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ example: 'ada@example.com' })
  email!: string;

  @ApiProperty({ enum: ROLES })
  role!: Role;

  @ApiProperty({ format: 'date-time' })
  created_at!: string;
}

export class TokenResponse {
  @ApiProperty({ description: 'A JWT with `sub` (the user id), `role`, `exp`, `iss` and `aud`.' })
  access_token!: string;

  @ApiProperty({ enum: ['Bearer'] })
  token_type!: 'Bearer';

  @ApiProperty({ description: 'Seconds.', example: 3600 })
  expires_in!: number;

  @ApiProperty()
  user!: UserResponse;
}

export function toUserResponse(user: User): UserResponse {
  return { id: user.id, email: user.email, role: user.role, created_at: user.createdAt.toISOString() };
}
