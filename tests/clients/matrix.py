"""Puts the reports of clients into tests/docs/matrix.json, and writes tests/docs/matrix.md from it and from
the explanations in tests/docs/matrix.toml.

matrix.py REPORT...: JSON reports of imds-conformance. Standard input says what the clients in them are:
a line for each, its name and its description with a tab between them. Without reports, it writes the
page again.
"""

import fnmatch
import json
import pathlib
import re
import sys
import textwrap
import tomllib

docs = pathlib.Path(__file__).parent.parent / "docs"
data = docs / "matrix.json"
page = docs / "matrix.md"
ORDER = """component component-classic native native-classic aws-config obstore opendal boto3 awscli aiobotocore
aws-credentials-imds minio javascript javascript-imds metadata-service go go-v2 go-v1 awscrt pyarrow gdal
ruby""".split()


def merge(matrix, report, about):
    """Replaces the clients of a report."""
    known = {client["name"]: client for client in matrix["clients"]}
    for name in (client["name"] for client in report["clients"]):
        outcomes = [outcome for outcome in report["outcomes"] if outcome["client"] == name]
        client = {"name": name, "about": about[name], "date": report["date"][:10]}
        client["passed"] = [o["scenario"] for o in outcomes if o["verdict"] == "passed"]
        client["failed"] = {o["scenario"]: first_failure(o) for o in outcomes if o["verdict"] == "failed"}
        client["not-run"] = {o["scenario"]: o["reason"] for o in outcomes if o["verdict"] == "not-run"}
        known[name] = client
    place = {name: at for at, name in enumerate(ORDER)}
    matrix["clients"] = sorted(known.values(), key=lambda client: place.get(client["name"], len(place)))
    keys = ("id", "group", "behaviour", "weight")
    matrix["scenarios"] = [{key: scenario[key] for key in keys} for scenario in report["scenarios"]]


def first_failure(outcome):
    finding = next(finding for finding in outcome["findings"] if not finding["holds"])
    return {key: shortened(finding[key]) for key in ("expected", "seen")}


def shortened(text):
    line = (text.splitlines() or [""])[0]
    # The ports of the emulator are different in each run.
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)
    return line if len(line) <= 200 else line[:200] + "…"


def explanation(explanations, client, scenario):
    """The first explanation of a failure."""
    for each in explanations:
        if client in each.get("clients", [client]) and any(
            fnmatch.fnmatchcase(scenario, pattern) for pattern in each["scenarios"]
        ):
            return each["because"]
    return None


def render(matrix, notes):
    clients, scenarios = matrix["clients"], matrix["scenarios"]
    dates = sorted({client["date"] for client in clients})
    yield f"{len(scenarios)} scenarios, measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.\n"
    yield "| client | what it is | passed | failed | not run |\n| --- | --- | --- | --- | --- |"
    for client in clients:
        counts = " | ".join(str(len(client[key])) for key in ("passed", "failed", "not-run"))
        name = client["name"]
        shown = f"[{name}](#{name})" if client["failed"] else name
        yield f"| {shown} | {client['about']} | {counts} |"
    yield "\n## Scenarios\n"
    yield "Which clients fail, and which are not run."
    group = None
    for scenario in scenarios:
        if scenario["group"] != group:
            group = scenario["group"]
            yield f"\n### {group}\n"
            yield "| The client … | weight | 🟥 failed | not run |\n| --- | --- | --- | --- |"
        cells = [
            ", ".join(client["name"] for client in clients if scenario["id"] in client[key]) or "none"
            for key in ("failed", "not-run")
        ]
        yield f"| {escaped(scenario['behaviour'])} | {scenario['weight']} | {' | '.join(cells)} |"
    yield "\n## Why they fail\n"
    yield (
        "Each failure has one explanation. [matrix.json](matrix.json) has, for each, what was expected and\nwhat was"
        " seen."
    )
    for client in clients:
        if not client["failed"]:
            continue
        name = client["name"]
        yield f"\n### {name}\n"
        yield notes["in-common"].get(name, "**In common: nothing was written.**") + "\n"
        reasons = {}
        for scenario in client["failed"]:
            because = explanation(notes["explanation"], name, scenario) or "**No explanation.**"
            reasons.setdefault(because, []).append(f"`{scenario}`")
        for because, failed in sorted(reasons.items(), key=lambda reason: -len(reason[1])):
            yield wrapped(f"* {because} {', '.join(failed)}")


def wrapped(item):
    return textwrap.fill(item, 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def escaped(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def main():
    matrix = json.loads(data.read_text()) if data.exists() else {"clients": [], "scenarios": []}
    reports = sys.argv[1:]
    about = dict(line.rstrip("\n").split("\t") for line in sys.stdin) if reports else {}
    for report in reports:
        merge(matrix, json.loads(pathlib.Path(report).read_text()), about)
    data.write_text(json.dumps(matrix, indent=1, ensure_ascii=False) + "\n")
    with open(docs / "matrix.toml", "rb") as file:
        notes = tomllib.load(file)
    text = "\n".join(render(matrix, notes)) + "\n"
    begin, end = "<!-- matrix -->", "<!-- end of matrix -->"
    old = page.read_text()
    page.write_text(re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{text}{end}", old, flags=re.S))


main()
