// The peer of many sites: a small service that nginx's auth_request asks about every request.
//
//     node auth_service.mjs REDIS_SOCKET LISTEN_SOCKET VALID INVALID ENTRIES
//
// SHA-256 of the bearer, HMGET by the most used client of npm, which pipelines what is asked in one turn of the event loop. Verdicts
// are kept for VALID and INVALID seconds (0: not at all) in a Map of at most ENTRIES, the oldest of which make room.

import { createHash } from "node:crypto";
import http from "node:http";
import { createClient } from "@redis/client";

const [redisSocket, listenSocket, ...numbers] = process.argv.slice(2);
const [valid, invalid, entries] = numbers.map(Number);
const redis = createClient({ socket: { path: redisSocket } });
const cache = new Map();                   // hash → {facts (null: unknown), until (ms)}
const FIELDS = ["id", "user", "scopes", "expires"];

function bearer(request) {
    const header = request.headers.authorization ?? "";
    return header.slice(0, 7).toLowerCase() === "bearer " ? header.slice(7) : "";
}

// {id, user, scopes, expires}, or null for an unknown key; a promise only where Redis is asked.
function findFacts(hash) {
    const kept = cache.get(hash);
    if (kept !== undefined && kept.until > Date.now()) return kept.facts;
    return askRedis(hash);
}

async function askRedis(hash) {
    const [id, user, scopes, expires] = await redis.hmGet(`apikey:k:${hash}`, FIELDS);
    const facts = id === null ? null : { id, user, scopes, expires: Number(expires) };
    keep(hash, facts, facts === null ? invalid : valid);
    return facts;
}

function keep(hash, facts, seconds) {
    if (seconds === 0) return;
    cache.delete(hash);                    // so that it becomes the youngest
    cache.set(hash, { facts, until: Date.now() + seconds * 1000 });
    if (cache.size > entries) cache.delete(cache.keys().next().value);
}

function answer(response, facts) {
    if (facts === null || (facts.expires > 0 && facts.expires * 1000 <= Date.now())) {
        response.writeHead(401, { "WWW-Authenticate": 'Bearer realm="bench", error="invalid_token"', "Content-Length": 0 });
    } else {
        response.writeHead(204, { "X-User-Id": facts.user, "X-Api-Key-Id": facts.id, "X-Api-Key-Scopes": facts.scopes });
    }
    response.end();
}

async function check(request, response) {
    try {
        const facts = findFacts(createHash("sha256").update(bearer(request)).digest("hex"));
        answer(response, facts instanceof Promise ? await facts : facts);
    } catch (error) {
        console.error(error);
        response.writeHead(503, { "Content-Length": 0 }).end();
    }
}

redis.on("error", console.error);
await redis.connect();
const server = http.createServer({ keepAliveTimeout: 3_600_000, requestTimeout: 0, headersTimeout: 0 }, check);
server.listen({ path: listenSocket, writableAll: true });
