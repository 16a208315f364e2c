"""An OpenAI-style API behind nginx, whose answers come as a test wants them: in pieces, late, encoded, or cut off.

    up = OpenAiUpstream(t)                   /v1/chat/completions, completions, embeddings, responses, plain and as a stream
    up.tokens = Tokens(19, 10, 5)            what its answers name: prompt, completion, cached; None: "usage": null
    up.put("/any", body, type=…)             this body at this path, whatever is asked
    up.how = {"cuts": 1, "pause": 0.01}      and how all answers come: fields of Answer
    up.sent                                  the bodies that were sent, before they were encoded
"""

import dataclasses
import gzip
import json
import threading
import time

from . import openai_bodies
from .http1 import chunk
from .openai_bodies import Tokens
from .upstream import Upstream


@dataclasses.dataclass
class Answer:
    body: bytes
    type: str = "application/json"
    status: int = 200
    headers: tuple = ()                    # (name, value)
    cuts: object = ()                      # where the body is cut: positions, or a number: into pieces of so many bytes
    pause: float = 0.0                     # seconds before each piece but the first
    gate: threading.Semaphore = None       # each piece but the first waits until it is released once more (10 s at most)
    framing: str = "length"                # or "chunked" (a chunk for each piece), or "close" (the end of the connection)
    most: int = None                       # the connection is closed after so many bytes of the body
    gzip: bool = False                     # encoded, if the request accepts it

    def pieces(self):
        """The body (what is sent of it), cut."""
        cuts = range(self.cuts, len(self.body), self.cuts) if isinstance(self.cuts, int) else self.cuts
        places = sorted({0, *cuts, len(self.body)})
        found = [self.body[begin:end] for begin, end in zip(places, places[1:])]
        if self.most is None:
            return found
        left, kept = self.most, []
        for piece in found:
            kept.append(piece[:left])
            left -= len(kept[-1])
        return [piece for piece in kept if piece]

    def head(self):
        lines = [f"HTTP/1.1 {self.status} Said", f"Content-Type: {self.type}"]
        lines += {"length": [f"Content-Length: {len(self.body)}"], "chunked": ["Transfer-Encoding: chunked"],
                  "close": ["Connection: close"]}[self.framing]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class OpenAiUpstream(Upstream):
    def __init__(self, test):
        self.tokens, self.how, self.sent, self._fixed = Tokens(19, 10, 5), {}, [], {}
        super().__init__()
        test.upstreams.append(self)

    def put(self, path, body, **fields):
        self._fixed[path] = Answer(body, **fields)

    def _answer_to(self, request):
        if request["path"] in self._fixed:
            return self._fixed[request["path"]]
        if request["path"] not in openai_bodies.CALLS:
            return Answer(openai_bodies.as_json(openai_bodies.error(404)), status=404)
        asked = json.loads(request["body"].encode("latin-1"))
        plain, stream = openai_bodies.CALLS[request["path"]]
        if asked.get("stream"):
            return Answer(stream(asked, self.tokens), type="text/event-stream; charset=utf-8", framing="chunked")
        return Answer(plain(asked, self.tokens))

    def serve(self, request, file):
        answer = dataclasses.replace(self._answer_to(request), **self.how)
        self.sent.append(answer.body)
        accepts = "".join(value for name, value in request["headers"] if name.lower() == "accept-encoding")
        if answer.gzip and "gzip" in accepts:
            answer.body, answer.headers = gzip.compress(answer.body), (*answer.headers, ("Content-Encoding", "gzip"))
        file.write(answer.head())
        if request["method"] == "HEAD":
            return True
        for number, piece in enumerate(answer.pieces()):
            if number and answer.pause:
                time.sleep(answer.pause)
            if number and answer.gate:
                answer.gate.acquire(timeout=10)
            file.write(chunk(piece) if answer.framing == "chunked" else piece)
        if answer.most is not None:
            return False
        if answer.framing == "chunked":
            file.write(chunk(b""))
        return answer.framing != "close"
