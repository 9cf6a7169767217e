import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteCommand, GetCommand, paginateQuery, QueryCommand, TransactWriteCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { DatabaseUnavailableError } from '../../backend/src/database/errors.js';
import { BATCH } from '../../backend/src/listings/announcement.js';
import { encodeCursor, SORT_KEYS } from '../../backend/src/listings/cursor.js';
import { fold, searchText, wordsOf } from '../../backend/src/listings/text.js';
import { FIELDS, MAX_PRICE, PAGE_SIZE } from '../../backend/src/listings/validation.js';

// Kinds of items: sort keys of the table, partitions of the indexes.
const LISTING = 'LISTING';
const ANNOUNCEMENT = 'ANNOUNCEMENT';
// As long as a queue may keep a message.
const ANNOUNCEMENT_DAYS = 14;
// How often a write is sent that meets another one.
const CONFLICTS = 4;
/** What a search reads at the most before it answers with what it has: items a query, queries. */
const READING = { step: 250, queries: 20 };

const keyOf = (id, kind) => ({ pk: `${LISTING}#${id}`, sk: kind });
const idOf = (item) => item.pk.slice(LISTING.length + 1);

/** What the API shows of an item. */
function toListing(item) {
  return Object.fromEntries(['id', ...FIELDS, 'created_at', 'updated_at'].map((name) => [name, item[name]]));
}

/** What is stored beside a listing's fields, and changes with them. */
const derived = (fields) => ({ make_key: fold(fields.make), search_text: searchText(fields) });

/** Whether a write, alone or in a transaction, was refused for this reason. */
function refusedBy(reason, error) {
  return error.name.startsWith(reason) || (error.CancellationReasons ?? []).some(({ Code: code }) => code === reason);
}

const conditionFailed = (error) => refusedBy('ConditionalCheckFailed', error);

/** Whether it is the table itself that may not be used: another one may have taken its place (a restore). */
const tableClosed = (error) => ['AccessDeniedException', 'ResourceNotFoundException'].includes(error.name);

/** Listings in a table of DynamoDB: README.md has its access patterns. Of the interface that api.js of the backend describes. */
export class ListingTable {
  #documents;
  #settings;
  #reading;

  /**
   * @param {object} documents DynamoDBDocumentClient
   * @param {(refused?: string) => Promise<{table: string, queueUrls: string[]}>} settings settings.js
   * @param {{step: number, queries: number}} reading how much a search reads
   */
  constructor(documents, settings, reading = READING) {
    this.#documents = documents;
    this.#settings = settings;
    this.#reading = reading;
  }

  /**
   * Sends a command to the table.
   *
   * @param {(TableName: string) => object} commandFor makes it
   * @param {string} refused name of a table that could not be used a moment ago
   */
  async #send(commandFor, attempt = 1, refused = undefined) {
    const { table } = await this.#settings(refused);
    try {
      return await this.#documents.send(commandFor(table));
    } catch (error) {
      // Somebody else writes the same listing in this moment; the SDK does not try again.
      if (refusedBy('TransactionConflict', error) && attempt < CONFLICTS) {
        await sleep(attempt * 50 * (1 + Math.random()));
        return this.#send(commandFor, attempt + 1);
      }
      if (tableClosed(error) && !refused) return this.#send(commandFor, attempt, table);
      // Those two are about the request; all others (throttled, no connection, no such table) are about the table.
      if (conditionFailed(error) || error.name === 'ValidationException') throw error;
      throw new DatabaseUnavailableError(error);
    }
  }

  /** Sends a write; undefined when its condition does not hold. */
  async #write(commandFor) {
    try {
      return await this.#send(commandFor);
    } catch (error) {
      if (conditionFailed(error)) return undefined;
      throw error;
    }
  }

  async ping() {
    await this.#send((TableName) => new GetCommand({ TableName, Key: keyOf('none', LISTING) }));
  }

  async get(id) {
    const { Item: item } = await this.#send(
      (TableName) => new GetCommand({ TableName, Key: keyOf(id, LISTING), ConsistentRead: true }),
    );
    return item && toListing(item);
  }

  async create(id, fields) {
    const { queueUrls } = await this.#settings();
    const now = new Date().toISOString();
    const listing = { id, ...fields, created_at: now, updated_at: now };
    const put = (kind, item, more) => ({ Item: { ...keyOf(id, kind), kind, created_at: now, ...item }, ...more });
    const puts = [put(LISTING, { ...listing, ...derived(fields) }, { ConditionExpression: 'attribute_not_exists(pk)' })];
    if (queueUrls.length > 0) {
      // Together with the listing or not at all, whatever becomes of this process and of SQS.
      const expires = Math.floor(Date.now() / 1000) + ANNOUNCEMENT_DAYS * 86_400;
      puts.push(put(ANNOUNCEMENT, { listing, expires_at: expires }));
    }
    const done = await this.#write(
      (TableName) => new TransactWriteCommand({ TransactItems: puts.map((each) => ({ Put: { TableName, ...each } })) }),
    );
    return done && listing;
  }

  async replace(id, fields) {
    const values = { ...fields, ...derived(fields), updated_at: new Date().toISOString() };
    const names = Object.keys(values);
    const done = await this.#write(
      (TableName) =>
        new UpdateCommand({
          TableName,
          Key: keyOf(id, LISTING),
          ConditionExpression: 'attribute_exists(pk)',
          UpdateExpression: `SET ${names.map((name) => `#${name} = :${name}`).join(', ')}`,
          ExpressionAttributeNames: Object.fromEntries(names.map((name) => [`#${name}`, name])),
          ExpressionAttributeValues: Object.fromEntries(names.map((name) => [`:${name}`, values[name]])),
          ReturnValues: 'ALL_NEW',
        }),
    );
    return done && toListing(done.Attributes);
  }

  async remove(id) {
    const deletes = [
      { Key: keyOf(id, LISTING), ConditionExpression: 'attribute_exists(pk)' },
      { Key: keyOf(id, ANNOUNCEMENT) },
    ];
    const done = await this.#write(
      (TableName) => new TransactWriteCommand({ TransactItems: deletes.map((each) => ({ Delete: { TableName, ...each } })) }),
    );
    return Boolean(done);
  }

  async search({ q, make, minPrice, maxPrice, sort, after }) {
    const range = SORT_KEYS[sort];
    const [hash, value] = make ? ['make_key', fold(make)] : ['kind', LISTING];
    const values = { ':hash': value };
    const conditions = ['#hash = :hash'];
    const filters = [];
    if (minPrice !== undefined || maxPrice !== undefined) {
      (range === 'price' ? conditions : filters).push('price BETWEEN :low AND :high');
      Object.assign(values, { ':low': minPrice ?? 0, ':high': maxPrice ?? MAX_PRICE });
    }
    for (const [index, word] of wordsOf(q).entries()) {
      filters.push(`contains(search_text, :word${index})`);
      values[`:word${index}`] = word;
    }

    const items = [];
    let start = after && { ...keyOf(after.id, LISTING), [hash]: value, [range]: after.value };
    for (let queries = 0; queries < this.#reading.queries; queries += 1) {
      const found = await this.#send(
        (TableName) =>
          new QueryCommand({
            TableName,
            IndexName: `${make ? 'make_' : ''}${range === 'price' ? 'price' : 'newest'}`,
            KeyConditionExpression: conditions.join(' AND '),
            FilterExpression: filters.join(' AND ') || undefined,
            ExpressionAttributeNames: { '#hash': hash },
            ExpressionAttributeValues: values,
            ScanIndexForward: sort === 'price_asc',
            // Without a filter one more than a page shows whether there is another.
            Limit: filters.length > 0 ? this.#reading.step : PAGE_SIZE + 1 - items.length,
            ExclusiveStartKey: start,
          }),
      );
      items.push(...found.Items.map(toListing));
      start = found.LastEvaluatedKey;
      if (items.length > PAGE_SIZE || !start) break;
    }
    if (items.length > PAGE_SIZE) {
      const page = items.slice(0, PAGE_SIZE);
      return { items: page, next: encodeCursor(sort, page.at(-1)) };
    }
    return { items, next: start ? encodeCursor(sort, { ...start, id: idOf(start) }) : null };
  }

  /** Listings that others are still to be told of, oldest first, a batch at a time. */
  async *toAnnounce(createdBefore) {
    const { table: TableName } = await this.#settings();
    const pages = paginateQuery(
      { client: this.#documents, pageSize: BATCH },
      {
        TableName,
        IndexName: 'newest',
        KeyConditionExpression: 'kind = :kind AND created_at < :before',
        ExpressionAttributeValues: { ':kind': ANNOUNCEMENT, ':before': createdBefore },
      },
    );
    for await (const { Items: items } of pages) if (items.length > 0) yield items.map((item) => item.listing);
  }

  async announced(ids) {
    await Promise.all(ids.map((id) => this.#send((TableName) => new DeleteCommand({ TableName, Key: keyOf(id, ANNOUNCEMENT) }))));
  }
}
