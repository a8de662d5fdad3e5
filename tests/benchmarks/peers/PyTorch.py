"""PyTorch as a peer: `sdpa` is scaled_dot_product_attention, on a GPU by the back end that is named (`flash` is
FlashAttention-2), `flex` compiled FlexAttention. The protocol: peers.py.

    PyTorch.py sdpa|flex [cpu|cuda [flash|cudnn|efficient]]
"""
import json
import sys
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

LEAST_SECONDS = 0.02  # of one answer
LEAST_LENGTH_OF_FLEX = 128  # its block of keys
TYPES = {'f32': torch.float32, 'bf16': torch.bfloat16, 'f16': torch.float16}

torch._dynamo.config.recompile_limit = 256  # one for each shape, which is where it is fastest
compiled = torch.compile(flex_attention, dynamic=False)
made = {}
DEVICE = sys.argv[2] if len(sys.argv) > 2 else 'cpu'
BACK_END = {'flash': SDPBackend.FLASH_ATTENTION, 'cudnn': SDPBackend.CUDNN_ATTENTION,
            'efficient': SDPBackend.EFFICIENT_ATTENTION}[sys.argv[3]] if len(sys.argv) > 3 else None


def inputs(shape):
    rows = ((shape['heads'], shape['queries']), (shape['kv_heads'], shape['keys']), (shape['kv_heads'], shape['keys']))
    return [torch.randn(shape['batch'], heads, length, shape['head_dim'], dtype=TYPES[shape['dtype']],
                        device=DEVICE)
            for heads, length in rows]


def sdpa(shape):
    query, key, value = inputs(shape)
    grouped = shape['heads'] != shape['kv_heads']

    def call():
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=shape['causal'],
                                                                enable_gqa=grouped)

    def call_by_back_end():
        with sdpa_kernel(BACK_END):
            return call()

    return call_by_back_end if BACK_END else call


def flex(shape):
    if min(shape['queries'], shape['keys']) < LEAST_LENGTH_OF_FLEX:
        return None
    query, key, value = inputs(shape)
    mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, shape['queries'], shape['keys'],
                             device=DEVICE) if shape['causal'] else None
    return lambda: compiled(query, key, value, block_mask=mask)


def milliseconds_on_gpu(call):
    """Launches go ahead of the card, which then never waits for the host; the first told how many."""
    start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def take(calls):
        start.record()
        for _ in range(calls):
            call()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) / calls

    return take(max(1, int(1e3 * LEAST_SECONDS / max(take(1), 1e-3))))


def milliseconds(call):
    if DEVICE == 'cuda':
        return milliseconds_on_gpu(call)
    calls, begin = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - begin < LEAST_SECONDS:
        call()
        calls += 1
    return 1e3 * (time.perf_counter() - begin) / calls


def answer(make, shape):
    key = json.dumps(shape)
    if key not in made:
        made[key] = make(shape)
        if made[key]:
            made[key]()  # compiles
    if made[key] is None:
        return {'skipped': f'not for fewer than {LEAST_LENGTH_OF_FLEX} queries and keys'}
    return {'milliseconds': milliseconds(made[key])}


def main():
    make = {'sdpa': sdpa, 'flex': flex}[sys.argv[1]]
    with torch.no_grad():
        for line in sys.stdin:
            try:
                reply = answer(make, json.loads(line))
            except Exception as error:  # whatever a peer stumbles over is no reason to stop the others
                reply = {'skipped': f'{type(error).__name__}: {str(error).splitlines()[0]}'}
            print(json.dumps(reply), flush=True)


if __name__ == '__main__':
    main()
