# Made triton_attention.ptx: Triton 3.9, which bundles what it needs and wants no GPU for this.
#   TRITON_DISABLE_LINE_INFO=1 python3 triton_attention.py > triton_attention.ptx
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def attention(query, key, value, output, scale, queries, keys,
              ROWS: tl.constexpr, COLUMNS: tl.constexpr, WIDTH: tl.constexpr):
    """Causal attention, [heads, length, WIDTH] of float16: a block of ROWS queries of one head."""
    head = tl.program_id(1)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, COLUMNS)
    width = tl.arange(0, WIDTH)
    q = tl.load(query + (head * queries + rows[:, None]) * WIDTH + width[None, :],
                mask=rows[:, None] < queries, other=0.0)
    maximum = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, WIDTH], tl.float32)
    end = tl.minimum(keys, (tl.program_id(0) + 1) * ROWS)
    for start in tl.range(0, end, COLUMNS, num_stages=3):
        there = start + columns < keys
        k = tl.load(key + (head * keys + start + columns[None, :]) * WIDTH + width[:, None],
                    mask=there[None, :], other=0.0)
        v = tl.load(value + (head * keys + start + columns[:, None]) * WIDTH + width[None, :],
                    mask=there[:, None], other=0.0)
        scores = tl.dot(q, k) * (scale * 1.4426950408889634)
        seen = there[None, :] & (rows[:, None] >= start + columns[None, :])
        scores = tl.where(seen, scores, float("-inf"))
        largest = tl.maximum(maximum, tl.max(scores, 1))
        weights = tl.exp2(scores - largest[:, None])
        factor = tl.exp2(maximum - largest)
        total = total * factor + tl.sum(weights, 1)
        sums = sums * factor[:, None] + tl.dot(weights.to(tl.float16), v)
        maximum = largest
    tl.store(output + (head * queries + rows[:, None]) * WIDTH + width[None, :],
             (sums / total[:, None]).to(tl.float16), mask=rows[:, None] < queries)


types = dict.fromkeys(("query", "key", "value", "output"), "*fp16")
types |= {"scale": "fp32", "queries": "i32", "keys": "i32"}
types |= dict.fromkeys(("ROWS", "COLUMNS", "WIDTH"), "constexpr")
aligned = {(i,): [["tt.divisibility", 16]] for i in range(4)}
source = ASTSource(attention, types, dict.fromkeys(("ROWS", "COLUMNS", "WIDTH"), 64), aligned)
made = triton.compile(source, target=GPUTarget("cuda", 80, 32), options={"num_warps": 4})
print(f"// Made by triton_attention.py; dynamic shared memory: {made.metadata.shared} bytes")
print(made.asm["ptx"], end="")
