import { Injectable } from '@nestjs/common';
import { ClsService, type ClsStore } from 'nestjs-cls';
import { uuidv7 } from 'uuidv7';
import { type Actor, actorName } from '../security/actor';

/** What is held for the time of one request or one run of a job: nothing but these two. */
export interface ContextStore extends ClsStore {
  requestId: string;
  actor?: Actor;
}

/** What stands beside everything that is written down: who did it, and in which request. */
export interface Cause {
  /** `user:<uuid>` or `system:<job>`. */
  readonly actor: string;
  readonly requestId: string;
}

@Injectable()
export class RequestContext {
  constructor(private readonly cls: ClsService<ContextStore>) {}

  /** Runs `work`, and all that it awaits, with `store` as its context. */
  run<T>(store: ContextStore, work: () => T): T {
    return this.cls.runWith(store, work);
  }

  /** Runs a job as `system:<job>`: under the id of the request that caused it, or under one of its own. */
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

  /** The context as a cause, for those who write down what it did, or hand it on to where the context does not reach. */
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
