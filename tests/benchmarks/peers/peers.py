"""Runs Tenon and its peers over the same shapes, in turns, and writes one table and one file of figures.

A peer is a program that reads a shape a line as JSON from standard input, and answers each by a line: what it took,
{"milliseconds": 1.5}, or why it does not do that, {"skipped": "…"}. So each compiles once, and rounds go over all.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = ('batch', 'heads', 'kv_heads', 'queries', 'keys', 'head_dim', 'dtype', 'causal')


class Peer:
    def __init__(self, name, command, **environment):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **environment})
        self.skipped = set()

    def milliseconds(self, shape):
        """None where it skips the shape; says why, once."""
        if self.process is None:
            return None
        try:
            self.process.stdin.write(json.dumps(shape) + '\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        # What the peer's libraries print besides is passed over.
        line = next((line for line in self.process.stdout if line.startswith('{')), None)
        if line is None:
            print(f'peers: {self.name} has ended: left out from here', file=sys.stderr)
            self.process = None
            return None
        answer = json.loads(line)
        if 'skipped' in answer and text(shape) not in self.skipped:
            self.skipped.add(text(shape))
            print(f"peers: {self.name}, {text(shape)}: {answer['skipped']}", file=sys.stderr)
        return answer.get('milliseconds')


def text(shape):
    queries = '' if shape['queries'] == shape['keys'] else f"{shape['queries']} x "
    heads = f"{shape['heads']}" + ('' if shape['heads'] == shape['kv_heads'] else f"/{shape['kv_heads']}")
    return (f"({shape['batch']}, {heads}, {queries}{shape['keys']}, {shape['head_dim']}), {shape['dtype']}"
            + (', causal' if shape['causal'] else ''))


def operations(shape):
    pairs = shape['queries'] * shape['keys']
    if shape['causal']:
        pairs = sum(min(query + 1, shape['keys']) for query in range(shape['queries']))
    return 4 * shape['batch'] * shape['heads'] * pairs * shape['head_dim']


def tenon(arguments):
    """One round of Tenon: sizes to milliseconds, in the suite's order."""
    command = [arguments.tenon, 'bench', '--suite', arguments.suite, '--rounds', '1', '--json']
    out = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    rows = out['shapes'] if isinstance(out, dict) else out
    return [({size: row[size] for size in SIZES}, row['milliseconds']) for row in rows]


def prototype(folder):
    """Hand-written kernels that print a line a shape: {text: milliseconds}. `proto all` and `decode` are their names."""
    figures = {}
    types = {'fp32': 'f32', 'bf16': 'bf16', 'amx': 'bf16'}
    for command in (['proto', 'all'], ['amx', 'all'], ['decode']):
        if not os.path.exists(os.path.join(folder, command[0])):
            continue
        out = subprocess.run([os.path.join(folder, command[0]), *command[1:]], stdout=subprocess.PIPE, text=True).stdout
        for line in out.splitlines():
            if match := re.match(r'(fp32|bf16|amx) B(\d+) H(\d+) S(\d+) D(\d+) (full|causal).*?([\d.]+) ms', line):
                kind, *sizes, mask, milliseconds = match.groups()
                batch, heads, length, width = map(int, sizes)
                shape = dict(zip(SIZES, (batch, heads, heads, length, length, width, types[kind], mask == 'causal')))
            elif match := re.match(r'decode (fp32|bf16) B(\d+) HK(\d+) S(\d+) D(\d+): ([\d.]+) ms', line):
                kind, *sizes, milliseconds = match.groups()
                batch, groups, length, width = map(int, sizes)
                shape = dict(zip(SIZES, (batch, 4 * groups, groups, 1, length, width, types[kind], False)))
            else:
                continue
            name = text(shape)
            figures[name] = min(figures.get(name, float('inf')), float(milliseconds))
    return figures


def measure(arguments):
    """{text: (shape, {name: [milliseconds]})}"""
    python = sys.executable
    script = os.path.join(HERE, 'PyTorch.py')
    peers = []

    def add(name, command, **environment):
        if name not in arguments.without:
            peers.append(Peer(name, command, **environment))

    if arguments.suite == 'gpu':
        for name, back_end in (('FlashAttention-2', 'flash'), ('cuDNN', 'cudnn'), ('memory-efficient', 'efficient')):
            add(name, [python, script, 'sdpa', 'cuda', back_end])
        add('FlexAttention', [python, script, 'flex', 'cuda'])
    else:
        add('PyTorch', [python, script, 'sdpa'])
        add('FlexAttention', [python, script, 'flex'])
    graph = os.path.join(arguments.environment, 'onednn_graph')
    if arguments.suite != 'gpu' and os.path.exists(graph):
        # The library's processor is a device of OpenCL there; another build passes these over.
        libraries = os.path.join(arguments.environment, 'lib')
        add('oneDNN graph', [graph], LD_LIBRARY_PATH=libraries,
            OCL_ICD_FILENAMES=os.path.join(libraries, 'libintelocl.so'))
    table = {}
    for turn in range(arguments.rounds):
        print(f'peers: round {turn + 1} of {arguments.rounds}', file=sys.stderr)
        shapes = tenon(arguments)
        for shape, milliseconds in shapes:
            times = table.setdefault(text(shape), (shape, {}))[1]
            times.setdefault('Tenon', []).append(milliseconds)
            for peer in peers:
                if (theirs := peer.milliseconds(shape)) is not None:
                    times.setdefault(peer.name, []).append(theirs)
        if arguments.prototype:
            for name, theirs in prototype(arguments.prototype).items():
                if name in table:
                    table[name][1].setdefault('prototype', []).append(theirs)
    return table


def print_table(table):
    names = ['Tenon']
    for _, times in table.values():
        names += [name for name in times if name not in names]
    print('| GFLOP/s (few queries in all: µs) | ' + ' | '.join(names) + ' |')
    print('|---|' + '---|' * len(names))
    for name, (shape, times) in table.items():
        micro = shape['batch'] * shape['heads'] * shape['queries'] < 4096
        cells = []
        for column in names:
            if column not in times:
                cells.append('')
                continue
            milliseconds = statistics.median(times[column])
            cells.append(f'{1e3 * milliseconds:.0f} µs' if micro else f'{operations(shape) / milliseconds / 1e6:.0f}')
        print(f'| {name} | ' + ' | '.join(cells) + ' |')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--tenon', required=True, help='the program')
    parser.add_argument('--environment', required=True, help='where run has installed the peers')
    parser.add_argument('--suite', choices=('host', 'lengths', 'gpu'), default='host')
    parser.add_argument('--without', metavar='PEER', action='append', default=[], help='leaves one out; may be repeated')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--prototype', help='folder of hand-written kernels, built')
    parser.add_argument('-o', '--output', default='peers.json', help='for tenon bench --beside')
    arguments = parser.parse_args()
    table = measure(arguments)
    rows = [{'by': by, **shape, 'milliseconds': statistics.median(times)}
            for shape, all_times in table.values() for by, times in all_times.items()]
    with open(arguments.output, 'w', encoding='utf-8') as file:
        json.dump(rows, file, indent=1)
    print_table(table)


if __name__ == '__main__':
    main()
