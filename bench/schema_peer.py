"""PyPI jsonschema-rs on a workload: see bench/schema_peers."""
import json
import sys
import time

sys.path.insert(0, sys.argv[3])
import jsonschema_rs as peer  # noqa: E402

MAKE = {"draft4": peer.Draft4Validator, "draft6": peer.Draft6Validator, "draft7": peer.Draft7Validator,
        "draft2019-09": peer.Draft201909Validator, "draft2020-12": peer.Draft202012Validator}
formats = sys.argv[2] == "formats"


def rate(documents, once):
    once()
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        done = 0
        while time.perf_counter() - start < 0.3:
            once()
            done += documents
        best = max(best, done / (time.perf_counter() - start))
    return best


groups, compile_ms = [], 1e9
for line in open(sys.argv[1], encoding="utf-8"):
    line = json.loads(line)
    schema = json.loads(line["schema"])
    start = time.perf_counter()
    try:
        validator = MAKE[line["draft"]](schema, validate_formats=formats)
    except Exception:
        continue
    compile_ms = min(compile_ms, (time.perf_counter() - start) * 1e3)
    groups.append((validator.is_valid, validator.iter_errors, line["documents"], [json.loads(one) for one in line["documents"]]))


def parsed():
    for is_valid, _, _, values in groups:
        for one in values:
            is_valid(one)


def from_bytes():
    loads = json.loads
    for is_valid, _, texts, _ in groups:
        for one in texts:
            is_valid(loads(one))


invalid = [(errors, one) for is_valid, errors, _, values in groups for one in values if not is_valid(one)]


def collected():
    for errors, one in invalid:
        for error in errors(one):
            error.message


documents = sum(len(group[2]) for group in groups)
print(json.dumps({"peer": "PyPI jsonschema-rs", "documents": documents, "invalid": len(invalid), "compile_ms": round(compile_ms, 3),
                  "parsed": round(rate(documents, parsed)), "bytes": round(rate(documents, from_bytes)),
                  "errors": round(rate(len(invalid), collected)) if invalid else 0}))
