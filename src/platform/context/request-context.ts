import { Injectable } from '@nestjs/common';
import { ClsService, type ClsStore } from 'nestjs-cls';
import { uuidv7 } from 'uuidv7';
import { type Actor, actorName } from '../security/actor';

/** The context of one request or one run of a job. It holds nothing else. */
export interface ContextStore extends ClsStore {
  requestId: string;
  actor?: Actor;
}

/** Who made a change, in which request: every audit row and movement has it. */
export interface Cause {
  /** `user:<uuid>` or `system:<job>`. */
  readonly actor: string;
  readonly requestId: string;
}

@Injectable()
export class RequestContext {
  constructor(private readonly cls: ClsService<ContextStore>) {}

  /** Runs `work`, and everything that it awaits, with `store` as context. */
  run<T>(store: ContextStore, work: () => T): T {
    return this.cls.runWith(store, work);
  }

  /** Runs a job as `system:<job>`, under the id of the request that caused it, or under a new one. */
  runAsSystem<T>(job: string, work: () => T, requestId = this.store?.requestId ?? uuidv7()): T {
    return this.cls.runWith({ requestId, actor: { kind: 'system', job } }, work);
  }

  get requestId(): string {
    const store = this.store;
    if (!store) {
      throw new Error('There is no request context here: open one with run() or runAsSystem()');
    }
    return store.requestId;
  }

  /** `user:<uuid>`, `system:<job>`, or undefined for a caller who did not sign in. */
  get actorName(): string | undefined {
    const actor = this.store?.actor;
    return actor && actorName(actor);
  }

  /** The context as a cause: for audit rows and movements, or to pass on to code outside the context. */
  get cause(): Cause {
    const actor = this.actorName;
    if (actor === undefined) {
      throw new Error('Nobody to name as the actor: give a cause, or open a context with an actor');
    }
    return { actor, requestId: this.requestId };
  }

  get store(): ContextStore | undefined {
    return this.cls.isActive() ? this.cls.get<ContextStore>() : undefined;
  }
}
