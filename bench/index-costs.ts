import 'reflect-metadata';
import { writeFile } from 'node:fs/promises';
import { Client } from 'pg';
import { Failure, type Program, runProgram } from '../src/program';
import { type Cost, costOf, indexReportOf, type TableCosts } from './index-report';
import { indexesOf, makeSample, TABLES } from './index-sample';

const RESULTS = 'bench/RESULTS-INDEXES.md';
const ROWS = 20_000;
const ROUNDS = 5;

void runProgram('The bench failed.', bench);

/**
 * Inserts rows like the newest ones into each table, with all of its indexes and without each of them in turn. Every
 * insert, and the DROP INDEX before it, is rolled back. Nobody else should be using the database.
 */
async function bench(program: Program): Promise<void> {
  const url = process.env['DATABASE_URL'];
  if (!url) {
    throw new Failure('DATABASE_URL must name a seeded database that nobody uses');
  }
  const client = new Client(url);
  await program.keep(client.connect(), () => client.end());
  const { rows } = await client.query<{ orders: number }>('SELECT count(*)::int AS orders FROM orders');
  const measured: TableCosts[] = [];
  for (const table of TABLES) {
    measured.push(await measure(client, table));
  }
  const report = indexReportOf(measured, { orders: rows[0]!.orders, rows: ROWS, rounds: ROUNDS });
  await writeFile(RESULTS, report);
  process.stdout.write(`\n${report}`);
}

async function measure(client: Client, table: string): Promise<TableCosts> {
  process.stderr.write(`${table}\n`);
  const indexes = await indexesOf(client, table);
  const insert = await makeSample(client, table, ROWS);
  const drops = indexes.map(({ drop }) => drop);
  const variants = [[], drops, ...drops.map((drop) => [drop])];
  const costs: Cost[][] = variants.map(() => []);
  for (let round = 0; round < ROUNDS; round += 1) {
    // The first insert after a VACUUM brings the pages into memory, and into the WAL.
    await insertWithout(client, [], insert);
    for (const [index, variant] of variants.entries()) {
      costs[index]!.push(await insertWithout(client, variant, insert));
    }
    // The rollbacks have left dead rows.
    await client.query(`VACUUM ${table}`);
  }
  const [all, none, ...without] = costs;
  return { table, all: all!, none: none!, indexes: indexes.map((index, at) => ({ ...index, without: without[at]! })) };
}

async function insertWithout(client: Client, drops: readonly string[], insert: string): Promise<Cost> {
  await client.query('BEGIN');
  try {
    for (const drop of drops) {
      await client.query(drop);
    }
    const { rows } = await client.query<{ 'QUERY PLAN': Parameters<typeof costOf>[0] }>(
      `EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) ${insert}`,
    );
    return costOf(rows[0]!['QUERY PLAN'], ROWS);
  } finally {
    await client.query('ROLLBACK');
  }
}
