"""Adds up the JUnit records of a test run: what was skipped and why, what failed, and the count last."""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def reason(case):
    """The line in which a test says why it was skipped."""
    text = (case.findtext("system-out") or "").strip()
    for pattern in (r"SKIPPED?:\s*(.+)", r"Skipped\s*\n(.+)", r":\s*Skipped\s*(.*)"):
        found = re.search(pattern, text)
        if found and found.group(1).strip():
            return found.group(1).strip()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("[")]
    return lines[-1].strip() if lines else "no reason given"


def complaint(case):
    """What a failed test said: from where it failed to its end, the noise of passing left out."""
    text = (case.findtext("system-out") or "").strip()
    lines = [line for line in text.splitlines()
             if line.strip() and not re.match(r"\[(=+|-+|  *(RUN|OK|PASSED|FAILED) *) *\]|Note: Google Test|Running main", line)]
    return lines if len(lines) <= 12 else lines[:6] + ["..."] + lines[-6:]


def main(folder):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    skipped, failed = {}, []
    for record in sorted(pathlib.Path(folder).glob("*.xml")):
        for case in ElementTree.parse(record).getroot().iter("testcase"):
            name = f"{record.stem}: {case.get('name')}"
            if case.get("status") == "notrun" or case.find("skipped") is not None:
                counts["skipped"] += 1
                skipped.setdefault(reason(case), []).append(name)
            elif case.get("status") == "fail" or case.find("failure") is not None:
                counts["failed"] += 1
                failed.append((name, complaint(case)))
            else:
                counts["passed"] += 1
    print()
    for why, names in skipped.items():
        print(f"Skipped {len(names)}: {why}")
        for name in names[:5]:
            print(f"    {name}")
        if len(names) > 5:
            print(f"    and {len(names) - 5} more")
    for name, lines in failed:
        print(f"FAILED {name}")
        for line in lines:
            print(f"    {line}")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
