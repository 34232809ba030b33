import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { MomentNow } from '../database/columns';

/** A request that its caller may repeat, and its answer. */
@Entity('idempotency_keys')
@Index('idempotency_keys_created_at', ['createdAt'])
export class IdempotencyKey {
  /** The user's id or, without a token, `address:` and the network that the request came from. */
  @PrimaryColumn('text')
  caller!: string;

  @PrimaryColumn('text')
  method!: string;

  @PrimaryColumn('text')
  path!: string;

  @PrimaryColumn('text')
  key!: string;

  @Column('text')
  fingerprint!: string;

  /** Null only inside the transaction that does the work: it is set before that commits. */
  @Column('smallint', { nullable: true })
  status!: number | null;

  /** `json`, not `jsonb`: it keeps the first answer exactly as it was. */
  @Column('json', { nullable: true })
  body!: unknown;

  @Column('text', { nullable: true })
  location!: string | null;

  @MomentNow()
  createdAt!: Date;
}
