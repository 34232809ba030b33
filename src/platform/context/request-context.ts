import { Injectable } from '@nestjs/common';
import { ClsService, type ClsStore } from 'nestjs-cls';
import { v7 as uuidv7 } from 'uuid';
import { type Actor, actorName } from '../security/actor';

/** What is held for the time of one request or one run of a job: nothing but these two. */
export interface ContextStore extends ClsStore {
  requestId: string;
  actor?: Actor;
}

@Injectable()
export class RequestContext {
  constructor(private readonly cls: ClsService<ContextStore>) {}

  /** Runs `work`, and all that it awaits, with `store` as its context. */
  run<T>(store: ContextStore, work: () => T): T {
    return this.cls.runWith(store, work);
  }

  /** Runs a job as `system:<job>`: under the id of the request that caused it, or under one of its own. */
  runAsSystem<T>(job: string, work: () => T): T {
    const requestId = this.store?.requestId ?? uuidv7();
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

  get store(): ContextStore | undefined {
    return this.cls.isActive() ? this.cls.get<ContextStore>() : undefined;
  }
}
