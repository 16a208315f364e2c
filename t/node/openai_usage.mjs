// Makes requests with the openai client, and says what it got.
//   stdin   {"baseURL": …, "apiKey": …, "requests": [{"of": "chat.completions", "body": {…}}, …]}
//   stdout  for each request {"result": …} or {"chunks": […]} or {"error": {status, code, message}}, and "body": the text that came
import OpenAI from "openai";

async function textOf(stream) {
    let text = "";
    for await (const part of stream) text += part;
    return text;
}

const { baseURL, apiKey, requests } = JSON.parse(await textOf(process.stdin.setEncoding("utf8")));
const bodies = [];

// What came over the wire, once more for ourselves.
async function watched(url, init) {
    const response = await fetch(url, init);
    bodies.push(response.clone().text());
    return response;
}

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000, fetch: watched });

async function make({ of, body }) {
    const resource = of.split(".").reduce((object, name) => object[name], client);
    const answer = await resource.create(body);
    if (!body.stream) return { result: answer };
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    return { chunks };
}

const results = [];
for (const request of requests) {
    let result;
    try {
        result = await make(request);
    } catch (error) {
        result = { error: { status: error.status ?? null, code: error.code ?? null, message: error.message } };
    }
    // The body of a stream that was cut off is an error, too.
    result.body = bodies.length === 0 ? null : await bodies.pop().catch(() => null);
    results.push(result);
}
console.log(JSON.stringify(results));
