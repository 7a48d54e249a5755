"""llama.cpp's own HTTP server, out of the wheel of xllamacpp, until it is told to end."""

import argparse
import signal
from pathlib import Path

import xllamacpp

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="a GGUF file")
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--name", required=True, help="what the model is called over HTTP")
parser.add_argument("--key", help="the one key that is accepted; without it, any")
parser.add_argument("--context", type=int, default=1024, help="tokens for each of two requests at once")
parser.add_argument("--template", type=Path, help="a chat template instead of the model's own")
parser.add_argument("--thinks", action="store_true", help="what stands in think tags is reasoning")
options = parser.parse_args()

settings = xllamacpp.CommonParams()
settings.model.path = options.model
settings.model_alias = {options.name}
settings.hostnames = ["127.0.0.1"]
settings.port = options.port
settings.n_parallel = 2
settings.n_ctx = options.context * settings.n_parallel
settings.kv_unified = False
settings.cpuparams.n_threads = 2
settings.use_jinja = True
settings.endpoint_metrics = True
settings.warmup = False
if options.key:
    settings.api_keys = [options.key]
if options.template:
    settings.chat_template = options.template.read_text()
if options.thinks:
    settings.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_DEEPSEEK

# Blocked before threads start, so that the wait below is the one that gets it.
endings = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, endings)
server = xllamacpp.Server(settings)
print(f"listening on {server.listening_address}", flush=True)
signal.sigwait(endings)
