// What the page asks of the API (docs/keys.md, docs/exports.md). The key is held here, in memory, and nowhere else unless it is asked for.

export interface Key {
  id: string;
  name: string;
  prefix: string;
  scopes: string[] | null; // null: everything
  createdAt: string | null;
  lastUsedAt: string | null; // null: never
  expiresAt: string | null; // null: never
  isActive: boolean;
}

export interface InForce {
  inForce: boolean;
  confirmed: number;
  expected: number;
  milliseconds: number;
  bound?: number; // milliseconds, where it is not in force yet
}

export interface Me {
  user: string;
  key: Key | null; // null: this site has established who asks
}

export interface AuditEntry {
  at: string;
  action: string;
  keyId: string | null;
  keyName: string | null;
  keyPrefix: string | null;
  actor: string | null;
  actorKeyId: string | null;
  source: string;
  address: string | null;
  changes: Record<string, [unknown, unknown]>;
}

export interface Conversation {
  id: string;
  title: string;
  model: string;
  createdAt: string;
  updatedAt: string;
  messages: number;
}

// Numbers as they were written: they may be larger, and more exact, than a double.
export interface Sums {
  requests: string;
  tokensIn: string;
  tokensOut: string;
  cost: string;
}

export interface Group extends Sums {
  group: string;
  name?: string | null; // of a key
}

export interface Summary {
  data: Group[];
  total: Sums;
}

export interface RowError {
  row: number | null;
  field: string | null;
  message: string;
}

export interface ImportResult {
  imported: number;
  skipped: number;
  errors: RowError[];
}

export type Query = Record<string, string | number | undefined>;

// A refusal: the problem document (RFC 9457) of an answer, or that there was none.
export class Problem extends Error {
  constructor(
    readonly status: number, // 0: no answer came
    readonly code: string,
    detail: string,
    readonly errors: RowError[] = [],
  ) {
    super(detail);
  }
  get endsSession(): boolean {
    return this.status === 401;
  }
}

const BASE = document.querySelector<HTMLMetaElement>('meta[name="api-base"]')?.content.replace(/\/+$/, "") ?? "/api";

let secret: string | null = null;

export function useKey(key: string | null): void {
  secret = key;
}

function headersOf(more: Record<string, string> = {}): Record<string, string> {
  return secret ? { ...more, Authorization: `Bearer ${secret}` } : more;
}

function addressOf(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return BASE + path + (text && "?" + text);
}

function unreachable(): Problem {
  return navigator.onLine
    ? new Problem(0, "unreachable", "The server cannot be reached. It may be down, or the connection was interrupted.")
    : new Problem(0, "offline", "This device is offline. Everything goes on when it is connected again.");
}

function problemOf(status: number, text: string): Problem {
  try {
    const document = JSON.parse(text);
    return new Problem(status, String(document.code ?? "error"), String(document.detail ?? document.title ?? ""), document.errors ?? []);
  } catch {
    return new Problem(status, "error", `The server answered with status ${status}.`);
  }
}

async function fetchOrThrow(path: string, query: Query, options: RequestInit): Promise<Response> {
  let response: Response;
  try {
    // A password or certificate that the browser adds for this very site is welcome: api_key_user.
    response = await fetch(addressOf(path, query), { ...options, credentials: "same-origin", cache: "no-store", redirect: "error" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!response.ok) throw problemOf(response.status, await response.text().catch(() => ""));
  return response;
}

async function ask<T>(method: string, path: string, { query = {}, body, headers = {}, signal }: { query?: Query; body?: unknown; headers?: Record<string, string>; signal?: AbortSignal } = {}): Promise<T> {
  const json: Record<string, string> = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await fetchOrThrow(path, query, {
    method,
    headers: headersOf({ ...json, ...headers }),
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  try {
    return JSON.parse(exactSums(await response.text())) as T;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreachable();
  }
}

// Sums become texts before JSON.parse makes doubles of them. In a string of JSON the quotes of such a name would be escaped.
function exactSums(text: string): string {
  return text.replace(/"(requests|tokensIn|tokensOut|cost)":(-?[0-9.eE+-]+)/g, '"$1":"$2"');
}

// --- keys ---

export interface KeyPage {
  keys: Key[];
  next: string | null;
}

export type MadeKey = Key & InForce & { key: string };

// Names a request, so that it can be sent again without making two keys.
export function newIdempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const keyPath = (id: string) => `/api-keys/${encodeURIComponent(id)}`;

export const me = () => ask<Me>("GET", "/api-keys/me");
export const listKeys = (after?: string) => ask<KeyPage>("GET", "/api-keys", { query: { limit: 50, after } });
export const createKey = (name: string, scopes: string[] | null, expiresAt: string | null, idempotencyKey: string) =>
  ask<MadeKey>("POST", "/api-keys", { body: { name, scopes, expiresAt }, headers: { "Idempotency-Key": idempotencyKey } });
export const renameKey = (id: string, name: string) => ask<Key & InForce>("PATCH", keyPath(id), { body: { name } });
export const revokeKey = (id: string) => ask<InForce>("DELETE", keyPath(id));
export const rotateKey = (id: string, overlap: string, idempotencyKey: string) =>
  ask<MadeKey & { replaces: Key }>("POST", `${keyPath(id)}/rotate`, { body: { overlap }, headers: { "Idempotency-Key": idempotencyKey } });
export const listChanges = (after?: string) => ask<{ entries: AuditEntry[]; next: string | null }>("GET", "/api-keys/audit", { query: { limit: 50, after } });

// --- usage and conversations ---

// The server sums up only a few at once for one user: they go one after the other, and wait where another tab is first.
let turn: Promise<unknown> = Promise.resolve();
const TRIES = 5;
const BETWEEN = 1000;

async function summarizeNow(groupBy: string, query: Query, signal?: AbortSignal): Promise<Summary> {
  for (let tries = 1; ; ++tries) {
    signal?.throwIfAborted();
    try {
      return await ask<Summary>("GET", "/export/usage/summary", { query: { ...query, groupBy }, signal });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 429 || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, BETWEEN));
    }
  }
}

export function summarize(groupBy: string, query: Query, signal?: AbortSignal): Promise<Summary> {
  const mine = turn.then(() => summarizeNow(groupBy, query, signal));
  turn = mine.catch(() => undefined);
  return mine;
}
export const listConversations = (query: Query, after?: string) =>
  ask<{ data: Conversation[]; next: string | null }>("GET", "/export/conversations/summary", { query: { ...query, limit: 50, after } });

export interface Download {
  name: string;
  file: Blob;
}

// A whole file, or an error: what breaks off is never handed over. `onBytes`: how much has come.
export async function download(what: "usage" | "conversations", query: Query, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<Download> {
  const response = await fetchOrThrow(`/export/${what}`, query, { headers: headersOf(), signal });
  const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? `${what}.json`;
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  try {
    for (const reader = response.body!.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      bytes += value.length;
      onBytes(bytes);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Problem(0, "broken_off", "The download broke off before its end. Nothing was saved; try again.");
  }
  return { name, file: new Blob(parts, { type: response.headers.get("Content-Type") ?? "" }) };
}

// Sends a file as it is. fetch() does not tell how much of a body has been sent; XMLHttpRequest does.
export function upload(what: "usage" | "conversations", file: File, dryRun: boolean, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<ImportResult> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", addressOf(`/import/${what}`, { dryRun: dryRun ? "true" : undefined }));
    for (const [name, value] of Object.entries(headersOf({ "Content-Type": file.name.toLowerCase().endsWith(".csv") ? "text/csv" : "application/json" })))
      request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onBytes(event.loaded);
    request.onload = () => {
      if (request.status !== 200) return reject(problemOf(request.status, request.responseText));
      try {
        resolve(JSON.parse(request.responseText) as ImportResult);
      } catch {
        reject(unreachable());
      }
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
