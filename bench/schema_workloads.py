"""Workloads of the schema benches, as JSON lines {draft, schema, documents}: schema_workloads.py CACHE FOLDER.

CACHE is what tests/schema/fetch fills with "suite" and "webhooks"; what is not there is left out. Texts go into the lines as they stand in the
files, so that every validator parses the same bytes.
"""
import json
import pathlib
import sys

cache, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)


def write(name, lines):
    with open(out / f"{name}.ndjson", "w", encoding="utf-8") as file:
        for draft, schema, documents in lines:
            file.write(json.dumps({"draft": draft, "schema": schema, "documents": documents}) + "\n")


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# GitHub's union of 58 events on its 329 examples.
octokit = cache / "npm/node_modules/@octokit"
schema = octokit / "webhooks-schemas/schema.json"
if schema.exists():
    events = json.loads((octokit / "webhooks-examples/api.github.com/index.json").read_text(encoding="utf-8"))
    write("github", [("draft7", schema.read_text(encoding="utf-8"), [compact(one) for event in events for one in event["examples"]])])

# The official suite's required cases, of the drafts that all peers know, without those that refer to other documents.
suite = cache / "suite"
if suite.exists():
    lines = []
    for draft in ("draft7", "draft2019-09", "draft2020-12"):
        for file in sorted((suite / "tests" / draft).glob("*.json")):
            for group in json.loads(file.read_text(encoding="utf-8")):
                text = json.dumps(group["schema"], ensure_ascii=False)
                if "://" in text.replace("https://json-schema.org/draft/", "").replace("http://json-schema.org/draft-", ""):
                    continue
                lines.append((draft, text, [json.dumps(test["data"], ensure_ascii=False) for test in group["tests"]]))
    write("suite", lines)

# The metaschema of 2020-12 on itself, as ajv carries it.
metaschema = cache / "npm/node_modules/ajv/dist/refs/json-schema-2020-12/schema.json"
if metaschema.exists():
    text = metaschema.read_text(encoding="utf-8")
    write("metaschema", [("draft2020-12", text, [text])])

# A megabyte of small objects.
items = [{"id": i, "name": f"item {i}", "price": i / 2, "tags": ["a", "b"], "ok": i % 2 == 0} for i in range(12000)]
item = {"type": "object", "additionalProperties": False, "required": ["id", "name", "price"],
        "properties": {"id": {"type": "integer", "minimum": 0}, "name": {"type": "string", "minLength": 1}, "price": {"type": "number"},
                       "tags": {"type": "array", "items": {"type": "string"}}, "ok": {"type": "boolean"}}}
write("array", [("draft2020-12", compact({"type": "array", "items": item}), [json.dumps(items)])])
