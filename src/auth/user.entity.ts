import { Check, Column, Entity, PrimaryColumn, Unique } from 'typeorm';
import { isOneOf, MomentNow } from '../platform/database/columns';
import { type Role, ROLES } from '../platform/security/actor';

@Entity('users')
@Unique('users_email_unique', ['email'])
@Check('users_email_lower', `email = lower(email)`)
@Check('users_role_known', isOneOf('role', ROLES))
export class User {
  @PrimaryColumn('uuid')
  id!: string;

  /** In lower case, so that it is unique regardless of case. */
  @Column('text')
  email!: string;

  /** argon2id, in the PHC string format. */
  @Column('text')
  passwordHash!: string;

  @Column('text')
  role!: Role;

  @MomentNow()
  createdAt!: Date;
}
