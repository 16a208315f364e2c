"""What an OpenAI-style API says: the objects and events of https://platform.openai.com/docs/api-reference, as far as a client
and a counter of tokens look at them. Each function takes the request (a dict) and the tokens it is to name (None: `null`)."""

import collections
import json

Tokens = collections.namedtuple("Tokens", "prompt completion cached", defaults=(0,))
WORDS = ["Hello", ", \"you\"", " \N{SNOWMAN} usage:{}", "."]


def chat_usage(tokens):
    return tokens and {
        "prompt_tokens": tokens.prompt, "completion_tokens": tokens.completion, "total_tokens": tokens.prompt + tokens.completion,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}}


def responses_usage(tokens):
    return tokens and {
        "input_tokens": tokens.prompt, "input_tokens_details": {"cached_tokens": tokens.cached}, "output_tokens": tokens.completion,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": tokens.prompt + tokens.completion}


def chat(request, tokens):
    message = {"role": "assistant", "content": "".join(WORDS), "refusal": None}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1764300000, "model": request["model"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": chat_usage(tokens), "service_tier": "default"}


def chat_chunks(request, tokens):
    """Without stream_options.include_usage no chunk names tokens; with it every one has a `usage`, null in all but the last."""
    asked = bool((request.get("stream_options") or {}).get("include_usage"))
    common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1764300000, "model": request["model"]}
    common |= {"usage": None} if asked else {}
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS), {}]
    for delta in deltas:
        yield common | {"choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
    if asked:
        yield common | {"choices": [], "usage": chat_usage(tokens)}


def completion(request, tokens):
    return {"id": "cmpl-1", "object": "text_completion", "created": 1764300000, "model": request["model"],
            "choices": [{"text": "".join(WORDS), "index": 0, "logprobs": None, "finish_reason": "length"}],
            "usage": chat_usage(tokens)}


def embeddings(request, tokens):
    """Their usage names no completion."""
    return {"object": "list", "model": request["model"], "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1e-7]}],
            "usage": tokens and {"prompt_tokens": tokens.prompt, "total_tokens": tokens.prompt}}


def response(request, tokens, status="completed"):
    text = {"type": "output_text", "text": "".join(WORDS), "annotations": []}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]}
    done = status == "completed"
    return {"id": "resp_1", "object": "response", "created_at": 1764300000, "status": status, "error": None,
            "model": request["model"], "output": [message] if done else [], "parallel_tool_calls": True, "tools": [],
            "usage": responses_usage(tokens) if done else None}


def response_events(request, tokens):
    yield {"type": "response.created", "response": response(request, tokens, "in_progress")}
    for word in WORDS:
        yield {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": word}
    yield {"type": "response.completed", "response": response(request, tokens)}


def error(status, message="no such model"):
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": f"error_{status}"}}


def as_json(value):
    return json.dumps(value, ensure_ascii=False).encode()


def as_events(events, named=False, done=True):
    """A body of text/event-stream; `named`: each with the line `event:` of the responses format."""
    lines = [(f"event: {event['type']}\n".encode() if named else b"") + b"data: " + as_json(event) + b"\n\n" for event in events]
    return b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")


# path: (the answer, the answer as a stream)
CALLS = {
    "/v1/chat/completions": (lambda r, t: as_json(chat(r, t)), lambda r, t: as_events(chat_chunks(r, t))),
    "/v1/completions": (lambda r, t: as_json(completion(r, t)), lambda r, t: as_events([completion(r, t)])),
    "/v1/embeddings": (lambda r, t: as_json(embeddings(r, t)), None),
    "/v1/responses": (lambda r, t: as_json(response(r, t)), lambda r, t: as_events(response_events(r, t), named=True, done=False)),
}
