#!/usr/bin/env python3
"""`vllm serve` as far as its host can tell: arguments, start, routes, answers and failures of vLLM, without a model.

The model says back what was last said to it; a word is a token. As in vLLM, the port stays closed until the engine is
initialised, the key covers /v1 alone, and no more cards can be used than are there. The environment says what else:

  STAND_IN_START_SECONDS   how long the engine takes to start (0)
  STAND_IN_TOKEN_SECONDS   how long a token takes (0.01)
  STAND_IN_FAULT           never_ready, dies_loading, dies, engine_dead or eats_memory
  STAND_IN_FAULT_AFTER     answers after which it `dies`, is `engine_dead` or `eats_memory`; 0 is at its start (0)

GET /stand-in says what a test cannot see from outside: cards, user, and the hash of the hub's token.
"""
import argparse
import contextlib
import glob
import hashlib
import hmac
import json
import os
import signal
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

START_SECONDS = float(os.environ.get("STAND_IN_START_SECONDS", "0"))
TOKEN_SECONDS = float(os.environ.get("STAND_IN_TOKEN_SECONDS", "0.01"))
FAULT = os.environ.get("STAND_IN_FAULT", "")
FAULT_AFTER = int(os.environ.get("STAND_IN_FAULT_AFTER", "0"))
VERSION = "0.11.0"
FAULTS = ("", "never_ready", "dies_loading", "dies", "engine_dead", "eats_memory")


def log(text, level="INFO"):
    print(f"(APIServer pid={os.getpid()}) {level} {time.strftime('%m-%d %H:%M:%S')} [stand-in] {text}", flush=True)


def parse():
    parser = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    serve = parser.add_subparsers(dest="command", required=True).add_parser("serve", allow_abbrev=False)
    serve.add_argument("model_tag")
    serve.add_argument("--host", default="0.0.0.0")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--served-model-name", nargs="+")
    serve.add_argument("--api-key", nargs="+", default=[])
    serve.add_argument("--tensor-parallel-size", "-tp", type=int, default=1)
    serve.add_argument("--max-model-len", type=int, default=4096)
    serve.add_argument("--max-num-seqs", type=int, default=256)
    serve.add_argument("--gpu-memory-utilization", type=float, default=0.9)
    serve.add_argument("--dtype", default="auto", choices=["auto", "bfloat16", "float", "float16", "float32", "half"])
    quantizations = ["awq", "awq_marlin", "bitsandbytes", "compressed-tensors", "fp8", "gptq", "gptq_marlin"]
    serve.add_argument("--quantization", "-q", choices=quantizations)
    serve.add_argument("--tokenizer-mode", default="auto", choices=["auto", "hf", "mistral", "slow"])
    serve.add_argument("--config-format", default="auto", choices=["auto", "hf", "mistral"])
    serve.add_argument("--load-format", default="auto", choices=["auto", "dummy", "mistral", "safetensors"])
    serve.add_argument("--download-dir")
    serve.add_argument("--disable-log-requests", "--no-enable-log-requests", action="store_true")
    return parser.parse_args([spelled(word) for word in sys.argv[1:]])


def spelled(word):
    """vLLM takes both `--max-model-len` and `--max_model_len`."""
    name, equals, value = word.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}" if word.startswith("--") else word


def visible_cards():
    """What a process here can use: the ids that NVIDIA's runtime was given, else the devices that are there."""
    given = os.environ.get("NVIDIA_VISIBLE_DEVICES", "")
    if given not in ("", "void", "none"):
        return given.split(",")
    return sorted(glob.glob("/dev/nvidia[0-9]*") or glob.glob("/dev/dri/renderD*"))


def hub_token():
    home = os.environ.get("HF_HOME", os.path.expanduser("~/.cache/huggingface"))
    path = os.environ.get("HF_TOKEN_PATH", os.path.join(home, "token"))
    if os.environ.get("HF_TOKEN"):
        return os.environ["HF_TOKEN"]
    return open(path, encoding="utf-8").read().strip() if os.path.exists(path) else None


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Engine:
    def __init__(self, args):
        self.args = args
        self.cards = visible_cards()
        self.names = args.served_model_name or [args.model_tag]
        self.dead = False
        self.lock = threading.Lock()
        self.running = self.answers = self.prompt_tokens = self.generation_tokens = 0

    def start(self):
        """Takes its time and leaves in the caches what the real one leaves there."""
        size = self.args.tensor_parallel_size
        log(f"vLLM API server version {VERSION}, cards: {', '.join(self.cards) or 'none'}")
        if os.environ.get("VLLM_TARGET_DEVICE") != "cpu":
            if not self.cards:
                raise RuntimeError("Failed to infer device type")
            count = len(self.cards)
            if count < size:
                raise ValueError(f"World size ({size}) is larger than the number of available GPUs ({count}).")
        model = self.args.model_tag
        if model.startswith("/") and not os.path.isdir(model):
            raise OSError(f"Can't load the configuration of '{model}'.")
        home = os.environ.get("HF_HOME", os.path.expanduser("~/.cache/huggingface"))
        cache = os.environ.get("VLLM_CACHE_ROOT", os.path.expanduser("~/.cache/vllm"))
        if not model.startswith("/"):
            write(os.path.join(home, "hub", f"models--{model.replace('/', '--')}", "refs/main"), "stand-in")
        write(os.path.join(cache, "torch_compile_cache/stand-in"), "compiled")
        log(f"Starting to load model {model}...")
        time.sleep(START_SECONDS / 2)
        if FAULT == "dies_loading":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        time.sleep(START_SECONDS / 2)
        while FAULT == "never_ready":
            log("Loading safetensors checkpoint shards:   0% Completed | 0/1")
            time.sleep(5)
        self.fail_after(0)
        log(f"init engine took {START_SECONDS:.2f} seconds")

    @contextlib.contextmanager
    def answering(self, prompt, generated):
        """Counts before anything is answered, and fails behind it."""
        with self.lock:
            self.running += 1
            self.answers += 1
            self.prompt_tokens += prompt
            self.generation_tokens += generated
            answers = self.answers
        try:
            yield
        finally:
            with self.lock:
                self.running -= 1
        self.fail_after(answers)

    def fail_after(self, answers):
        if answers != FAULT_AFTER:
            return
        if FAULT == "dies":
            log("EngineCore encountered a fatal error.", "ERROR")
            os._exit(1)
        self.dead = FAULT == "engine_dead"
        eaten = []
        while FAULT == "eats_memory":
            eaten.append(b"\x01" * (1 << 20))


class Refused(Exception):
    def __init__(self, status, kind, message, param=None):
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": status}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "uvicorn"
    sys_version = ""
    engine = None
    keys = []

    def log_message(self, form, *values):
        print(f'(APIServer pid={os.getpid()}) INFO:     {self.address_string()} - {form % values}', flush=True)

    def handle_request(self):
        path = self.path.partition("?")[0]
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            if path.startswith("/v1") and self.keys and not self.has_key():
                return self.send(401, {"error": "Unauthorized"})
            route = ROUTES.get((self.command, path))
            if route is not None:
                return route(self)
            known = any(path == other for _, other in ROUTES)
            self.send(405 if known else 404, {"detail": "Method Not Allowed" if known else "Not Found"})
        except Refused as refused:
            self.send(refused.status, refused.body)

    do_GET = do_POST = handle_request

    def has_key(self):
        scheme, _, given = self.headers.get("authorization", "").partition(" ")
        known = any(hmac.compare_digest(given.encode(), key.encode()) for key in self.keys)
        return known and scheme.lower() == "bearer"

    def send(self, status, body=None, kind="application/json"):
        content = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        if content:
            self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(content)

    def health(self):
        self.send(503 if self.engine.dead else 200)

    def stand_in(self):
        token, args = hub_token(), self.engine.args
        self.send(200, {"cards": self.engine.cards, "uid": os.getuid(), "gid": os.getgid(), "model": args.model_tag,
                        "tensor_parallel_size": args.tensor_parallel_size, "max_model_len": args.max_model_len,
                        "hub_token_sha256": token and hashlib.sha256(token.encode()).hexdigest()})

    def metrics(self):
        engine, lines = self.engine, []
        for name, kind, value in [("num_requests_running", "gauge", engine.running),
                                  ("num_requests_waiting", "gauge", 0), ("kv_cache_usage_perc", "gauge", 0),
                                  ("prompt_tokens_total", "counter", engine.prompt_tokens),
                                  ("generation_tokens_total", "counter", engine.generation_tokens)]:
            lines += [f"# TYPE vllm:{name.removesuffix('_total')} {kind}",
                      f'vllm:{name}{{engine="0",model_name="{engine.names[0]}"}} {float(value)}']
        self.send(200, "\n".join(lines) + "\n", "text/plain; version=0.0.4; charset=utf-8")

    def models(self):
        created = int(time.time())
        permission = {"id": f"modelperm-{uuid.uuid4().hex}", "object": "model_permission", "created": created,
                      "allow_create_engine": False, "allow_sampling": True, "allow_logprobs": True,
                      "allow_search_indices": False, "allow_view": True, "allow_fine_tuning": False,
                      "organization": "*", "group": None, "is_blocking": False}
        card = {"object": "model", "created": created, "owned_by": "vllm", "root": self.engine.args.model_tag,
                "parent": None, "max_model_len": self.engine.args.max_model_len, "permission": [permission]}
        self.send(200, {"object": "list", "data": [{"id": name, **card} for name in self.engine.names]})

    def complete(self, chat):
        request = self.asked(*(("messages", list) if chat else ("prompt", str)))
        said = request["messages"][-1]["content"] if chat else request["prompt"]
        said = said if isinstance(said, str) else " ".join(part.get("text", "") for part in said)
        texts = [message["content"] for message in request["messages"]] if chat else [said]
        prompt, limit = sum(len(str(text).split()) for text in texts), self.engine.args.max_model_len
        room = request.get("max_completion_tokens") or request.get("max_tokens") or (limit - prompt if chat else 16)
        if prompt + room > limit or room < 1:
            raise Refused(400, "BadRequestError", f"This model's maximum context length is {limit} tokens. However, "
                          f"you requested {prompt + room} tokens ({prompt} in the messages, {room} in the completion).")
        words = ["You", "said:", *said.split()]
        finish, words = ("length" if len(words) > room else "stop"), words[:room]
        kind = "chat.completion" if chat else "text_completion"
        head = {"id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}", "object": kind,
                "created": int(time.time()), "model": request.get("model") or self.engine.names[0]}
        usage = {"prompt_tokens": prompt, "total_tokens": prompt + len(words), "completion_tokens": len(words)}
        with self.engine.answering(prompt, len(words)):
            (self.stream if request.get("stream") else self.whole)(head, words, finish, usage, chat, request)

    def asked(self, name, kind):
        try:
            request = json.loads(self.body)
        except ValueError as error:
            raise Refused(400, "Bad Request", f"[{{'type': 'json_invalid', 'msg': 'JSON decode error: {error}'}}]")
        if not isinstance(request, dict) or not isinstance(request.get(name), kind) or not request[name]:
            where = f"'loc': ('body', '{name}')"
            raise Refused(400, "Bad Request", f"[{{'type': 'missing', {where}, 'msg': 'Field required'}}]")
        if request.get("model") and request["model"] not in self.engine.names:
            raise Refused(404, "NotFoundError", f"The model `{request['model']}` does not exist.", "model")
        if self.engine.dead:
            raise Refused(500, "InternalServerError", "EngineCore encountered an issue.")
        return request

    def whole(self, head, words, finish, usage, chat, _request):
        time.sleep(TOKEN_SECONDS * len(words))
        text = " ".join(words)
        end = {"logprobs": None, "finish_reason": finish, "stop_reason": None, "token_ids": None}
        message = {"role": "assistant", "content": text, "refusal": None, "annotations": None, "audio": None,
                   "function_call": None, "tool_calls": [], "reasoning_content": None}
        choice = {"index": 0, **({"message": message} if chat else {"text": text}), **end}
        more = {"prompt_logprobs": None, "prompt_token_ids": None} if chat else {}
        self.send(200, {**head, "choices": [choice], "service_tier": None, "system_fingerprint": None,
                        "usage": {**usage, "prompt_tokens_details": None}, **more, "kv_transfer_params": None})

    def stream(self, head, words, finish, usage, chat, request):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        head = {**head, "object": "chat.completion.chunk"} if chat else head
        if chat:
            first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
            self.event({**head, "choices": [first]})
        for at, word in enumerate(words):
            time.sleep(TOKEN_SECONDS)
            text, last = word if at == 0 else f" {word}", at == len(words) - 1
            part = {"delta": {"content": text}} if chat else {"text": text}
            choice = {"index": 0, **part, "logprobs": None, "finish_reason": finish if last else None}
            self.event({**head, "choices": [{**choice, **({"stop_reason": None} if last else {})}]})
        if (request.get("stream_options") or {}).get("include_usage"):
            self.event({**head, "choices": [], "usage": usage})
        self.chunk("data: [DONE]\n\n")
        self.chunk("")

    def event(self, body):
        self.chunk(f"data: {json.dumps(body)}\n\n")

    def chunk(self, text):
        content = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()


ROUTES = {
    ("GET", "/health"): Handler.health,
    ("GET", "/metrics"): Handler.metrics,
    ("GET", "/version"): lambda handler: handler.send(200, {"version": VERSION}),
    ("GET", "/stand-in"): Handler.stand_in,
    ("GET", "/v1/models"): Handler.models,
    ("POST", "/v1/chat/completions"): lambda handler: handler.complete(chat=True),
    ("POST", "/v1/completions"): lambda handler: handler.complete(chat=False),
}


def main():
    args = parse()
    if FAULT not in FAULTS:
        sys.exit(f"STAND_IN_FAULT is one of {', '.join(FAULTS[1:])}.")
    # The first process of a container has no default action for it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Handler.keys = [key for key in args.api_key or [os.environ.get("VLLM_API_KEY")] if key]
    Handler.engine = Engine(args)
    Handler.engine.start()
    ThreadingHTTPServer.daemon_threads = True
    server = ThreadingHTTPServer((args.host, args.port), Handler)
    log(f"Starting vLLM API server 0 on http://{args.host}:{args.port}")
    log("Application startup complete.")
    server.serve_forever()


main()
