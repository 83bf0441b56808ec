"""Writes tests/docs/versions.md: what changed with which version of a client.

versions.py REPORT...: JSON reports of imds-conformance, named CLIENT@VERSION@MONTH.json. MONTH, that of
the release, may be empty. An empty file whose name ends with .none stands for a version that gets no
credentials. The sections of clients without reports stay as they are.
"""

import json
import pathlib
import re
import sys
import textwrap

page = pathlib.Path(__file__).parent.parent / "docs" / "versions.md"
TITLES = {
    "boto3": "boto3",
    "awscrt": "aws-c-auth (`awscrt`)",
    "javascript-imds-aws-sdk": "`@aws-sdk/credential-provider-imds`, until 2023",
    "javascript-imds": "`@smithy/credential-provider-imds`, since 2023",
    "javascript-chain": "`@aws-sdk/credential-provider-node`",
    "javascript-v2": "AWS SDK for JavaScript 2 (`aws-sdk`)",
    "minio": "MinIO's SDK for Python (`minio`)",
    "obstore": "object_store (`obstore`)",
}


def key(run):
    return [int(part) for part in run["version"].split(".")]


def read(path):
    path = pathlib.Path(path)
    client, version, month = path.name.removesuffix(path.suffix).split("@")
    run = {"client": client, "version": version, "month": month}
    if path.suffix == ".none":
        return run
    report = json.loads(path.read_text())
    verdicts = {outcome["scenario"]: verdict(outcome) for outcome in report["outcomes"]}
    return run | {"date": report["date"][:10], "verdicts": verdicts}


def verdict(outcome):
    missed = [finding["seen"] for finding in outcome["findings"] if not finding["holds"]]
    # The runner waits two seconds longer than it allows. How busy the machine is decides about these.
    return "late" if any(seen.startswith("an answer after") for seen in missed) else outcome["verdict"]


def changes(before, after, verdict):
    """The scenarios that have this verdict now, and were run and had another one before."""
    ran = ("passed", "failed")
    return [
        scenario
        for scenario, now in after["verdicts"].items()
        if now == verdict and before["verdicts"].get(scenario) in ran and before["verdicts"][scenario] != now
    ]


def render(title, versions):
    measured = [run for run in versions if "verdicts" in run]
    dates = sorted({run["date"] for run in measured})
    count = len(measured[0]["verdicts"])
    yield f"## {title}\n"
    yield f"{count} scenarios, measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.\n"
    # Where no changelog has the date, it is unknown: the mirror of npm's registry gives other dates.
    released = any(run["month"] for run in versions)
    columns = ["version", *(["released"] if released else []), "passed", "failed", "not run"]
    yield f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"
    for run in versions:
        verdicts = list(run.get("verdicts", {}).values())
        failed = verdicts.count("failed") + verdicts.count("late")
        counts = [verdicts.count("passed"), failed, verdicts.count("not-run")] if verdicts else ["–"] * 3
        cells = [run["version"], *([run["month"] or "–"] if released else []), *map(str, counts)]
        yield f"| {' | '.join(cells)} |"
    yield ""
    without = [run["version"] for run in versions if "verdicts" not in run]
    if without:
        yield wrapped(f"* {', '.join(without)}: no credentials, because the instance requires tokens.")
    for before, after in zip(measured, measured[1:]):
        better, worse = changes(before, after, "passed"), changes(before, after, "failed")
        if not better and not worse:
            yield f"* {after['version']}: no change."
        if better:
            yield wrapped(f"* {after['version']} 🟩 passes: {names(better)}.")
        if worse:
            yield wrapped(f"* {after['version']} 🟥 fails: {names(worse)}.")


def wrapped(item):
    return textwrap.fill(item, 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def names(scenarios):
    return ", ".join(f"`{scenario}`" for scenario in scenarios)


runs = [read(path) for path in sys.argv[1:]]
begin, end = "<!-- versions -->\n", "<!-- end of versions -->"
before, rest = page.read_text().split(begin)
written, after = rest.split(end)
sections = {section.split("\n", 1)[0]: section for section in re.split(r"^(?=## )", written, flags=re.M) if section}
for client, title in TITLES.items():
    versions = sorted((run for run in runs if run["client"] == client), key=key)
    if versions:
        sections[f"## {title}"] = "\n".join(render(title, versions)) + "\n"
ordered = [sections[heading].strip("\n") for title in TITLES.values() if (heading := f"## {title}") in sections]
page.write_text(before + begin + "\n\n".join(ordered) + "\n" + end + after)
