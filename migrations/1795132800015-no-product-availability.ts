import type { MigrationInterface, QueryRunner } from 'typeorm';
import { ProductSearch1795132800012 } from './1795132800012-product-search';

/** What is in stock is asked of the levels, and a short text of the products: docs/decisions/0014. */
export class NoProductAvailability1795132800015 implements MigrationInterface {
  private readonly search = new ProductSearch1795132800012();

  async up(runner: QueryRunner): Promise<void> {
    await this.search.dropAvailability(runner);
    await this.search.dropPieces(runner);
  }

  async down(runner: QueryRunner): Promise<void> {
    await this.search.makePieces(runner);
    await this.search.makeAvailability(runner);
  }
}
