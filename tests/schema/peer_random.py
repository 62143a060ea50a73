"""peer_random.py FOLDER SEED SCHEMAS: random schemas with random documents, and what jsonschema-rs (in FOLDER) says of them.
One JSON line for each schema: {"draft", "formats", "schema", "documents": [text], "verdicts": "01…"}; schemas that it refuses are left out."""
import json
import random
import sys

sys.path.insert(0, sys.argv[1])
import jsonschema_rs  # noqa: E402

R = random.Random(int(sys.argv[2]))
DRAFTS = {
    "draft4": (4, jsonschema_rs.Draft4Validator),
    "draft6": (6, jsonschema_rs.Draft6Validator),
    "draft7": (7, jsonschema_rs.Draft7Validator),
    "draft2019-09": (8, jsonschema_rs.Draft201909Validator),
    "draft2020-12": (9, jsonschema_rs.Draft202012Validator),
}
NAMES = ["a", "b", "c", "ab", "kind", "long_property_name_one", "long_property_name_two", "", "ä"]
STRINGS = ["", "a", "b", "ab", "abc", "kind", "ä", "😀", "aab", "123", "a\nb", "x-1"]
NUMBERS = [0, 1, 2, 3, -1, 1.0, 2.0, 1.5, 0.1, 0.3, -2.5, 10, 100, 1e2, 9007199254740993, 2**63, 12345678901234567890, 1e15]
PATTERNS = ["^a", "b$", "^[a-c]+$", "a|b", "^$", "[0-9]", "^.{1,2}$", "^(a|ab)b?$", "\\w+", "\\d", "^x-", "(?!a)b", "^(?=.*b)a", "\\S", "^\\p{L}+$"]
FORMATS = ["date-time", "email", "ipv4", "ipv6", "uri"]
NEWER_FORMATS = ["date", "time", "json-pointer"]
FORMATTED = ["2020-02-29", "2021-02-29", "2020-02-29T12:00:00Z", "12:00:00+01:00", "12:00", "a@b.example", "@", "1.2.3.4", "1.2.3.256", "::1",
             "1::2::3", "http://a.example/b?c#d", "//a", "/a/~0", "/a/~"]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


# In 2019-09 "contains" leaves nothing for "unevaluatedItems" to see (its section 9.3.1.3 names what counts); jsonschema-rs takes the rule of
# 2020-12 there too. So a schema of that draft has the one or the other.
UNEVALUATED = [False]
FORMATS_COUNT = [False]
IN_TREE = [False]  # a resource of its own, which has no definitions


def value(depth=3):
    kind = R.random()
    if depth > 0 and kind < 0.35:
        return {R.choice(NAMES): value(depth - 1) for _ in range(R.choice([0, 1, 2, 2, 3, 4]))}
    if depth > 0 and kind < 0.5:
        return [value(depth - 1) for _ in range(R.choice([0, 1, 2, 3, 4]))]
    if kind < 0.7:
        return R.choice(FORMATTED if FORMATS_COUNT[0] and R.random() < 0.5 else STRINGS)
    if kind < 0.9:
        return R.choice(NUMBERS)
    return R.choice([None, True, False])


def schema(draft, depth):
    if draft >= 6 and R.random() < 0.08:
        return R.random() < 0.7
    out = {}
    for _ in range(R.choice([1, 1, 2, 2, 3, 4])):
        add(out, draft, depth)
    return out


def names(least=0):
    return R.sample(NAMES, R.randint(max(1, least), 3))


def add(out, draft, depth):
    sub = lambda: schema(draft, depth - 1)  # noqa: E731
    subs = lambda least=1: [sub() for _ in range(R.randint(least, 3))]  # noqa: E731
    count = lambda: R.randint(0, 3)  # noqa: E731
    flat = ["type", "types", "enum", "const", "minimum", "maximum", "exclusive", "multipleOf", "minLength", "maxLength", "pattern", "minItems",
            "maxItems", "uniqueItems", "minProperties", "maxProperties", "required", "dependentRequired", "format", "ref", "union"]
    deep = ["properties", "properties", "properties", "patternProperties", "additionalProperties", "propertyNames", "items", "prefix", "contains",
            "allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas", "dependencies", "unevaluatedItems", "unevaluatedProperties", "dynamic", "union"]
    key = R.choice(flat + deep * 2 if depth > 0 else flat[:-2])
    if key == "type":
        out["type"] = R.choice(TYPES)
    elif key == "types":
        out["type"] = R.sample(TYPES, R.randint(1, 3))
    elif key == "enum":
        enum = [value(2) for _ in range(R.randint(1, 4))]
        out["enum"] = [x for i, x in enumerate(enum) if x not in enum[:i]]  # 1, 1.0 and True are one to Python
    elif key == "const" and draft >= 6:
        out["const"] = value(2)
    elif key in ("minimum", "maximum"):
        out[key] = R.choice(NUMBERS)
    elif key == "exclusive":
        side = R.choice(["Minimum", "Maximum"])
        if draft == 4:
            out[side.lower()] = R.choice(NUMBERS)
            out["exclusive" + side] = R.random() < 0.5
        else:
            out["exclusive" + side] = R.choice(NUMBERS)
    elif key == "multipleOf":
        out[key] = R.choice([1, 2, 3, 0.5, 0.1, 0.01, 1.5, 1e2])
    elif key in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"):
        out[key] = count()
    elif key == "pattern":
        out[key] = R.choice(PATTERNS)
    elif key == "uniqueItems":
        out[key] = R.random() < 0.8
    elif key == "required":
        out[key] = names(1)
    elif key == "dependentRequired" and draft >= 8:
        out[key] = {name: names() for name in names()}
    elif key == "format":
        if FORMATS_COUNT[0]:
            out[key] = R.choice(FORMATS + (NEWER_FORMATS if draft >= 7 else []))
    elif key == "dynamic" and draft >= 8:
        # Under a name, so that each step goes into the document.
        ref = {"$dynamicRef": "tree#node"} if draft == 9 else {"$recursiveRef": "#"} if R.random() < 0.5 else {"$ref": "tree"}
        out["properties"] = {name: ref for name in names()}
    elif key == "ref":
        if depth < 3 and not IN_TREE[0]:
            out["$ref"] = R.choice(["#/definitions/x", "#/definitions/y"])
    elif key == "union":
        tag = R.choice(NAMES)
        union = []
        for _ in range(R.randint(2, 5)):
            branch = {"properties": {tag: {"enum": [R.choice(STRINGS) for _ in range(1)]}, R.choice(NAMES): sub()}}
            if R.random() < 0.7:
                branch["required"] = [tag] + [n for n in names() if n != tag and R.random() < 0.5]
            if R.random() < 0.4:
                branch["additionalProperties"] = False
            if R.random() < 0.4:
                branch["type"] = "object"
            union.append(branch)
        out[R.choice(["oneOf", "anyOf"])] = union
    elif key == "properties":
        out[key] = {name: sub() for name in names()}
    elif key == "patternProperties":
        out[key] = {R.choice(PATTERNS): sub() for _ in range(R.randint(1, 2))}
    elif key == "additionalProperties":
        out[key] = R.choice([False, True]) if R.random() < 0.6 else sub()
    elif key == "propertyNames" and draft >= 6:
        out[key] = sub()
    elif key == "items":
        out[key] = sub() if draft == 9 or R.random() < 0.6 else subs()
        if draft < 9 and R.random() < 0.5:
            out["additionalItems"] = R.choice([False, True]) if R.random() < 0.5 else sub()
    elif key == "prefix" and draft == 9:
        out["prefixItems"] = subs()
    elif key == "contains" and draft >= 6 and not (draft == 8 and UNEVALUATED[0]):
        out[key] = sub()
        if draft >= 8 and R.random() < 0.5:
            out["minContains"] = count()
        if draft >= 8 and R.random() < 0.3:
            out["maxContains"] = count()
    elif key in ("allOf", "anyOf", "oneOf"):
        out[key] = subs()
    elif key == "not":
        out[key] = sub()
    elif key == "if" and draft >= 7:
        out["if"] = sub()
        if R.random() < 0.8:
            out["then"] = sub()
        if R.random() < 0.6:
            out["else"] = sub()
    elif key == "dependentSchemas" and draft >= 8:
        out[key] = {name: sub() for name in names()}
    elif key == "dependencies" and draft <= 7:
        out[key] = {name: sub() if R.random() < 0.5 else names() for name in names()}
    elif key in ("unevaluatedItems", "unevaluatedProperties") and (draft == 9 or draft == 8 and (UNEVALUATED[0] or key == "unevaluatedProperties")):
        out[key] = False if R.random() < 0.6 else sub()


def mutated(document):
    """A neighbour of a document: most random ones differ too much from what a schema asks."""
    if isinstance(document, dict) and document and R.random() < 0.7:
        out = dict(document)
        name = R.choice(list(out))
        if R.random() < 0.3:
            del out[name]
        else:
            out[name] = mutated(out[name])
        return out
    if isinstance(document, list) and document and R.random() < 0.7:
        out = list(document)
        at = R.randrange(len(out))
        out[at] = mutated(out[at])
        return out
    return value(2)


for _ in range(int(sys.argv[3])):
    name = R.choice(list(DRAFTS))
    draft, make = DRAFTS[name]
    UNEVALUATED[0] = R.random() < 0.5
    FORMATS_COUNT[0] = R.random() < 0.3
    root = schema(draft, 3)
    if not isinstance(root, dict):
        continue
    root.setdefault("definitions", {"x": schema(draft, 1), "y": schema(draft, 0)})
    if draft >= 8:
        IN_TREE[0] = True
        tree = schema(draft, 1)
        IN_TREE[0] = False
        tree = tree if isinstance(tree, dict) else {}
        root["definitions"]["tree"] = tree
        tree["$id"] = "tree"
        tree["properties"] = {name: {"$dynamicRef": "#node"} if draft == 9 else {"$recursiveRef": "#"} for name in names()}
        for one in [tree] + [root] * (R.random() < 0.5):
            one["$dynamicAnchor" if draft == 9 else "$recursiveAnchor"] = "node" if draft == 9 else R.random() < 0.7
    try:
        validator = make(root, validate_formats=FORMATS_COUNT[0])
    except (ValueError, jsonschema_rs.ReferencingError):
        continue
    documents = []
    for _ in range(12):
        documents.append(mutated(R.choice(documents)) if documents and R.random() < 0.5 else value(3))
    verdicts = "".join("1" if validator.is_valid(one) else "0" for one in documents)
    print(json.dumps({"draft": name, "formats": FORMATS_COUNT[0], "schema": json.dumps(root),
                      "documents": [json.dumps(one) for one in documents], "verdicts": verdicts}))
