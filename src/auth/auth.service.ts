import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { AuditService } from '../audit/audit.service';
import { RequestContext } from '../platform/context/request-context';
import { orDuplicate } from '../platform/database/duplicates';
import { TransactionRunner } from '../platform/database/transaction-runner';
import type { UnitOfWork } from '../platform/database/unit-of-work';
import { Unauthenticated } from '../platform/errors/domain-errors';
import { Answer } from '../platform/http/answer';
import { IdempotencyService } from '../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../platform/idempotency/idempotent-request';
import { AccessTokens } from '../platform/security/access-tokens';
import { actorName, type Role, type UserActor } from '../platform/security/actor';
import type { LoginBody, RegisterBody, TokenResponse, UserResponse } from './auth.dto';
import { toUserResponse } from './auth.dto';
import { hashPassword, isPassword } from './password';
import { User } from './user.entity';

@Injectable()
export class AuthService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly idempotency: IdempotencyService,
    private readonly tokens: AccessTokens,
    private readonly audit: AuditService,
    private readonly context: RequestContext,
  ) {}

  /** Makes a user with the role `user`. @throws Duplicate if the email is taken, whatever its case */
  async register({ email, password }: RegisterBody, request: IdempotentRequest): Promise<Answer<UserResponse>> {
    const passwordHash = await hashPassword(password);
    return this.idempotency.run(request, async (unit) => {
      return new Answer(toUserResponse(await this.insertUser(unit, { email, passwordHash, role: 'user' })));
    });
  }

  /** @throws Unauthenticated, the same and in about the same time for an unknown email and for a wrong password */
  async login({ email, password }: LoginBody): Promise<TokenResponse> {
    const user = await this.findByEmail(email);
    if (!(await isPassword(password, user?.passwordHash)) || !user) {
      throw new Unauthenticated('Email or password is wrong');
    }
    return {
      access_token: this.tokens.sign(user),
      token_type: 'Bearer',
      expires_in: this.tokens.ttlSeconds,
      user: toUserResponse(user),
    };
  }

  /** @throws Unauthenticated if the token is valid but its user does not exist, as after a change of database */
  async me(caller: UserActor): Promise<UserResponse> {
    const user = await this.transactions.read((manager) => manager.findOneBy(User, { id: caller.id }));
    if (!user) {
      throw new Unauthenticated('The user of this token does not exist');
    }
    return toUserResponse(user);
  }

  /** Makes an administrator. @throws Duplicate if the email is taken, by a user of any role */
  async createAdmin(email: string, password: string): Promise<void> {
    const passwordHash = await hashPassword(password);
    await this.transactions.run((unit) =>
      this.insertUser(unit, { email: email.toLowerCase(), passwordHash, role: 'admin' }),
    );
  }

  /** The user with this email, whatever its case. */
  findByEmail(email: string): Promise<User | null> {
    return this.transactions.read((manager) => manager.findOneBy(User, { email: email.toLowerCase() }));
  }

  /** The actor in the audit log is that of the context or, if nobody is signed in, the new user. */
  private async insertUser(unit: UnitOfWork, draft: UserDraft): Promise<User> {
    const id = uuidv7();
    await unit.tx.insert(User, { id, ...draft }).catch(orDuplicate('users_email_unique', 'email'));
    this.audit.record(unit, {
      action: 'user.registered',
      objectId: id,
      newValue: { email: draft.email, role: draft.role },
      cause: {
        actor: this.context.actorName ?? actorName({ kind: 'user', id, role: draft.role }),
        requestId: this.context.requestId,
      },
    });
    return unit.tx.findOneByOrFail(User, { id });
  }
}

interface UserDraft {
  email: string;
  passwordHash: string;
  role: Role;
}
