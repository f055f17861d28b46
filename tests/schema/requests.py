#!/usr/bin/python3
"""The requests of tests/golden/requests against the descriptions that the hypervisors publish of their APIs.

Usage: requests.py SOURCE_DIR. The descriptions, NAME.yaml, are those of MICROVMC_API_DIR; they are no part of this
project. Status 77: there are none, or no program to read them with.
"""

import glob
import json
import os
import sys

try:
    import yaml
    from jsonschema import Draft4Validator, RefResolver
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

directory = os.environ.get("MICROVMC_API_DIR", "")
failures = checked = 0


def strict(schema):
    """What a description doesn't name, the program refuses or ignores: either is a mistake of ours."""
    if isinstance(schema, dict):
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        for each in schema.values():
            strict(each)
    elif isinstance(schema, list):
        for each in schema:
            strict(each)
    return schema


def operation(api, method, target):
    """The description of what is asked for; a part of a path in braces stands for anything."""
    base = api.get("basePath") or next((s["url"] for s in api.get("servers", [])), "/")
    base = "/" + base.split("//")[-1].partition("/")[2] if "//" in base else base
    path = target.removeprefix(base.rstrip("/"))
    for known, methods in api["paths"].items():
        parts = known.split("/")
        theirs = path.split("/")
        if len(parts) == len(theirs) and all(p == t or p.startswith("{") for p, t in zip(parts, theirs)):
            return methods.get(method.lower())
    return None


def body_schema(described):
    if "requestBody" in described:
        return described["requestBody"]["content"]["application/json"]["schema"]
    return next((p["schema"] for p in described.get("parameters", []) if p["in"] == "body"), None)


for recorded in sorted(glob.glob(os.path.join(sys.argv[1], "tests/golden/requests/*.json"))):
    name = os.path.basename(recorded).removesuffix(".json").removesuffix("-config").removesuffix("-snapshot")
    description = os.path.join(directory, name + ".yaml")
    if not directory or not os.path.exists(description):
        print(f"{name}: skipped: MICROVMC_API_DIR has no {name}.yaml")
        continue
    with open(description, encoding="utf-8") as file:
        api = strict(yaml.safe_load(file))
    for request in json.load(open(recorded, encoding="utf-8")):
        what = f"{name}: {request['method']} {request['target']}"
        described = operation(api, request["method"], request["target"])
        if not described:
            print(f"FAIL: {what}: not in the description")
            failures += 1
            continue
        schema = body_schema(described)
        if (schema is not None) != ("body" in request):
            print(f"FAIL: {what}: a body where it takes none, or none where it takes one")
            failures += 1
            continue
        if schema is None:
            checked += 1
            continue
        validator = Draft4Validator(schema, resolver=RefResolver("", api))
        for error in validator.iter_errors(request["body"]):
            print(f"FAIL: {what}: {error.message[:300]}")
            failures += 1
        checked += 1

if failures:
    sys.exit(1)
print(f"{checked} requests are as described")
sys.exit(0 if checked else 77)
