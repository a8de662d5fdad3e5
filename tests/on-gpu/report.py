#!/usr/bin/env python3
"""Puts what tests/on-gpu/run gathered into one JSON report, and says in a few lines what it holds.

Ends with 0 if everything was right, 1 if not. With --has KIND FILE it only says whether that kind of device is there.
"""
import argparse
import csv
import glob
import json
import os
import sys


def load(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def has(kind, path):
    lines = [line for line in load(path) or [] if line["way"] == kind]
    for line in lines:
        print(f"{kind}:{line['ordinal']} {line['name'] if line['available'] else 'is not there: ' + line['reason']}")
    return any(line["available"] for line in lines)


def conformance(folder):
    parts = glob.glob(os.path.join(folder, "conformance-*.txt"))
    results = [load(part.removesuffix("txt") + "json") for part in parts]
    if not results or not all(results):
        return {"error": f"{len(results) - sum(map(bool, results))} of {len(results)} parts of the suite wrote no result"}
    cases = [case for result in results for suite in result["testsuites"] for case in suite["testsuite"]]
    failures = [case["name"] for case in cases if case.get("failures")]
    skipped = [case["name"] for case in cases if case.get("result") == "SKIPPED"]
    return {"run": len(cases) - len(skipped), "failed": failures, "skipped": skipped}


# What Nsight Compute calls what the emulator counts.
METRICS = {"smsp__inst_executed.sum": "warp_instructions", "sm__inst_executed_pipe_tensor.sum": "tensor"}


def counts_of_profiler(folder):
    """Sums of each metric over the launches that Nsight Compute saw, by kernel."""
    path = os.path.join(folder, "ncu.csv")
    if not os.path.exists(path):
        return None, "ncu is not installed"
    with open(path) as file:
        lines = [line for line in file if line.startswith('"')]
    sums = {}
    for row in csv.DictReader(lines):
        metrics = sums.setdefault(row["Kernel Name"].split("(")[0], {})
        name = METRICS.get(row["Metric Name"], row["Metric Name"])
        metrics[name] = metrics.get(name, 0) + float(row["Metric Value"].replace(",", ""))
    return (sums, "") if sums else (None, "ncu measured nothing; its message is kept in the report")


def counts_of_emulator(cases, side):
    kernels = {}
    for case in cases:
        for name, counts in (case.get(side) or {}).get("kernels", {}).items():
            kernels[name] = {"warp_instructions": counts["warp_instructions"], "tensor": counts["kinds"]["tensor"]}
    return kernels


def multiplies_on_tensor_cores(name):
    return name == "tensor_core" or ("f16" in name and not name.endswith("_combine"))


def compare_counts(card, emulator):
    """Tensor instructions must be equal; others are PTX here and machine instructions there, so that only their ratio is told.

    Where a kernel has none the card may count some all the same: ptxas moves constants by HFMA2.MMA, on the same pipe.
    """
    rows = []
    for name in sorted(set(card) & set(emulator)):
        mine, theirs = emulator[name], card[name]
        rows.append({"kernel": name, "tensor_emulator": mine["tensor"], "tensor_card": theirs.get("tensor"),
                     "instruction_ratio": theirs.get("warp_instructions", 0) / max(mine["warp_instructions"], 1),
                     "card": theirs, "right": mine["tensor"] == theirs.get("tensor") or mine["tensor"] == 0 and not multiplies_on_tensor_cores(name)})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--has", nargs=2)
    parser.add_argument("--driver")
    parser.add_argument("--folder")
    parser.add_argument("--output")
    options = parser.parse_args()
    if options.has:
        return 0 if has(*options.has) else 1

    folder = options.folder
    compare = load(os.path.join(folder, "compare.json")) or {"error": "the comparison wrote no result", "cases": []}
    report = {
        "driver": options.driver,
        "devices": load(os.path.join(folder, "devices.json")),
        "conformance": conformance(folder),
        "benchmarks": load(os.path.join(folder, "bench.json")) or [],
        "emulator": compare,
    }
    sums, reason = counts_of_profiler(folder)
    if options.driver == "emulated":
        sums, reason = counts_of_emulator(compare["cases"], "device_counts"), "the emulator stands in for the card"
    counts = compare_counts(sums or {}, counts_of_emulator(compare["cases"], "emulator_counts"))
    report["profiler"] = {"kernels": counts, "reason": reason}
    error = os.path.join(folder, "ncu.err")
    if os.path.exists(error):
        with open(error) as file:
            report["profiler"]["message"] = file.read()[-2000:]

    wrong = []
    suite = report["conformance"]
    if suite.get("error") or suite.get("failed") or not suite.get("run"):
        wrong.append("conformance")
    if os.path.exists(os.path.join(folder, "bench.failed")) or not report["benchmarks"]:
        wrong.append("benchmarks")
    if os.path.exists(os.path.join(folder, "compare.failed")) or not compare["cases"]:
        wrong.append("emulator")
    if any(not row["right"] for row in counts) or (sums and not counts):
        wrong.append("counts")
    report["wrong"] = wrong
    with open(options.output, "w") as file:
        json.dump(report, file, indent=1)

    print(f"conformance: {suite.get('run', 0)} run, {len(suite.get('failed', []))} failed, {len(suite.get('skipped', []))} skipped")
    for row in report["benchmarks"]:
        print(f"  {row['kernel']}: {row['queries']} x {row['keys']}: {row['milliseconds']:.3f} ms, {row['gflops']:.1f} GFLOP/s,"
              f" {row['bound_share']:.1%} of what bounds it ({row['bound']})")
    for case in compare["cases"]:
        print(f"  {case['name']}: {case['different']} of {case['elements']} elements differ, by at most {case['largest']:.3g}"
              f" (allowed {case['allowed']:.3g}); {case['emulator_counts'].get('warp_instructions', 0)} warp instructions emulated")
    print(f"counts: {len(counts)} kernels compared" + (f" ({reason})" if reason else ""))
    print(f"report: {options.output}" + (f"; wrong: {', '.join(wrong)}" if wrong else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
