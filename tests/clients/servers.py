"""Writes the table of tests/docs/servers.md.

servers.py REPORT...: JSON reports of `imds-conformance server`.
"""

import json
import pathlib
import re
import sys

page = pathlib.Path(__file__).parent.parent / "docs" / "servers.md"
ORDER = ["imds-emulator", "moto", "ministack", "fakecloud", "ectou-metadata"]


def place(name):
    return next((at for at, known in enumerate(ORDER) if name.startswith(known)), len(ORDER)), name


def read(path):
    report = json.loads(pathlib.Path(path).read_text())
    [client] = report["clients"]
    groups = {check["id"]: check["group"] for check in report["scenarios"]}
    weights = {check["id"]: check["weight"] for check in report["scenarios"]}
    return client["name"], report["date"][:10], report["outcomes"], groups, weights


def render(reports):
    checks = len(reports[0][2])
    dates = sorted({report[1] for report in reports})
    yield f"{checks} checks, measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.\n"
    yield "| server | passed | failed | of these `must` | not applicable |\n| --- | --- | --- | --- | --- |"
    for name, _, outcomes, _, weights in reports:
        verdicts = [outcome["verdict"] for outcome in outcomes]
        must = sum(o["verdict"] == "failed" and weights[o["scenario"]] == "must" for o in outcomes)
        counts = (verdicts.count("passed"), verdicts.count("failed"), must, verdicts.count("not-run"))
        yield f"| {name} | {' | '.join(map(str, counts))} |"
    yield "\n## By group\n\nPassed and failed checks.\n"
    names = list(dict.fromkeys(reports[0][3].values()))
    others = [report for report in reports if not report[0].startswith("imds-emulator")]
    yield f"| group | {' | '.join(report[0] for report in others)} |\n| --- |{' --- |' * len(others)}"
    for group in names:
        cells = []
        for _, _, outcomes, groups, _ in others:
            verdicts = [o["verdict"] for o in outcomes if groups[o["scenario"]] == group]
            cells.append(f"{verdicts.count('passed')}, {verdicts.count('failed')}")
        yield f"| {group} | {' | '.join(cells)} |"
    yield "\n## By check\n\nThe checks that a server fails, and where it passes (🟩), fails (🟥) or is not applicable (–).\n"
    yield f"| check | weight | {' | '.join(report[0] for report in others)} |\n| --- | --- |{' --- |' * len(others)}"
    marks = {"passed": "🟩", "failed": "🟥"}
    verdicts = [{o["scenario"]: o["verdict"] for o in outcomes} for _, _, outcomes, _, _ in others]
    for check, weight in reports[0][4].items():
        cells = [one[check] for one in verdicts]
        if "failed" in cells:
            yield f"| `{check}` | {weight} | {' | '.join(marks.get(cell, '–') for cell in cells)} |"


reports = sorted(map(read, sys.argv[1:]), key=lambda report: place(report[0]))
text = "\n".join(render(reports)) + "\n"
begin, end = "<!-- servers -->", "<!-- end of servers -->"
page.write_text(re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{text}{end}", page.read_text(), flags=re.S))
