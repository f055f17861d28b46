#!/usr/bin/python3
"""The JSON Schemas against a public validator, the decoder and the corpus of tests/golden.

What the schema of microvm.toml, or of microvm-test's specs, refuses the decoder must refuse, too; the other way round it may
be laxer. Usage: agree.py MICROVMC SOURCE_DIR [MICROVM_TEST]
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib

from jsonschema import Draft7Validator

microvmc, source = sys.argv[1:3]
microvm_test = sys.argv[3] if len(sys.argv) > 3 else None
golden = os.path.join(source, "tests/golden")
failures = []


def fail(text):
    failures.append(text)
    if len(failures) <= 20:
        print("FAIL:", text)


def schema_of(*arguments):
    schema = json.loads(subprocess.run([microvmc, "schema", *arguments], check=True, capture_output=True).stdout)
    Draft7Validator.check_schema(schema)
    return schema


def why_not(validator, document):
    return "; ".join(f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator.iter_errors(document))


schema = schema_of()
language = Draft7Validator(schema)
plan = Draft7Validator(schema_of("--plan"))


def golden_files():
    paths = glob.glob(golden + "/plans/*.toml") + glob.glob(source + "/docs/examples/**/*.toml", recursive=True)
    paths += glob.glob(source + "/runtime/templates/*/microvm.toml")
    assert len(paths) > 40, paths
    for path in paths:
        with open(path, "rb") as file:
            problem = why_not(language, tomllib.load(file))
        if problem:
            fail(f"{path} is right, and the schema refuses it: {problem}")
    return len(paths)


def golden_plans():
    paths = glob.glob(golden + "/plans/*.plan.json")
    assert len(paths) > 20, paths
    for path in paths:
        with open(path, "rb") as file:
            document = json.load(file)
        document["digests"] = {"sources": [], "facts": "", "observed": ""}  # the golden files leave them out
        problem = why_not(plan, document)
        if problem:
            fail(f"{path}: {problem}")
        document["vms"][0]["colour"] = "red"
        if plan.is_valid(document):
            fail(f"{path}: an unknown key is taken")
        del document["vms"][0]["colour"], document["vms"][0]["kernel"]["pin"]
        if plan.is_valid(document):
            fail(f"{path}: a missing key is taken")
    # And what the program prints today.
    with tempfile.TemporaryDirectory() as home:
        environment = dict(os.environ, MICROVMC_STATE_DIR=home + "/state", MICROVMC_RUNTIME_DIR=home + "/run")
        command = [microvmc, "plan", "--json", "--out", home + "/saved.json", source + "/docs/examples/hello"]
        ran = subprocess.run(command, capture_output=True, env=environment)
        if ran.returncode != 0:
            print("skipped: this host can't plan docs/examples/hello:", ran.stderr.decode())
            return len(paths)
        for what, text in (("plan --json", ran.stdout), ("plan --out", open(home + "/saved.json", "rb").read())):
            problem = why_not(plan, json.loads(text))
            if problem:
                fail(f"{what}: {problem}")
        printed_changes(home, environment)
    return len(paths)


def printed_changes(home, environment):
    """`plan --json` of a machine that differs from what it is compared with, whole and each way spoilt."""
    for name, mem in (("before", 256), ("after", 512)):
        with open(f"{home}/{name}.toml", "w") as file:
            file.write(f'name = "changes"\n[vm.web]\nmem = {mem}\n')
    command = [microvmc, "plan", "--json", "--against", home + "/before.toml", home + "/after.toml"]
    document = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
    problem = why_not(plan, document)
    if problem:
        fail(f"plan --json --against: {problem}")
    (change,) = document["changes"]
    (key,) = change["keys"]
    if (change["kind"], key["key"]) != ("restart", "mem") or not key["at"].endswith("after.toml:3"):
        fail(f"plan --json --against: not the change that was made: {change}")
    for place, member, value in (
        (change, "kind", "whatever"),
        (change, "keys", [{}]),
        (change, "colour", "red"),
        (key, "restart", "yes"),
        (key, "at", "line 3"),
        (key, "colour", "red"),
        (document, "against", 1),
    ):
        kept = dict(place)
        place[member] = value
        if plan.is_valid(document):
            fail(f"the plan's schema takes {member} = {value} in a change")
        place.clear()
        place.update(kept)


def golden_errors():
    """Cases in the corpus, as tests/compiler/golden_test.cpp reads them."""
    refused = decoded = 0
    for path in glob.glob(golden + "/errors/*.cases"):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            cases = re.split(r"(?m)^=== (.*)\n", file.read())[1:]
        for title, body in zip(cases[::2], cases[1::2]):
            text, *parts = re.split(r"(?m)^---(?: (\w+))?\n", body)
            parts = dict(zip(parts[::2], parts[1::2]))
            by_decoder = re.search(r"error\[E0[123]", parts[None]) is not None
            decoded += by_decoder
            problems = []
            for layer in (text, parts.get("over", "")):
                layer = re.sub(r"\\0x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), layer)
                try:
                    problems.append(why_not(language, tomllib.loads(layer)))
                except (tomllib.TOMLDecodeError, ValueError, RecursionError):
                    pass
            if any(problems):
                refused += 1
                if not by_decoder:
                    fail(f"{path}: {title}: the schema refuses what the decoder takes: {problems}")
    assert refused > 30, f"the schema refuses only {refused} cases of the corpus"
    return refused, decoded


VALUES = [
    True, False, -1, 0, 1, 3, 16, 255, 70000, 2**41, 1.5, 1e7,
    "", "a", "auto", "x/y", "/x", "/x/../y", "~/x", "$HOME/x", "${name}-${index}", "x${index}.img", "512MiB", "4G", "1MB",
    "0M", "1m30s", "500ms", "30s1m", "10x", "dhcp", "10.0.0.1", "10.0.0.1/24", "fd00::1/64", "02:00:00:00:00:01",
    "02-00-00-00-00-0A", "01:00:00:00:00:01", ":80", ":80/x", ":80?x", "8080:80", "[::1]:5353:53/udp", "8080", 'a"b', "a b",
    "...", "A", "a" * 40, "tcp", [], ["a"], ["..."], ["a", "..."], ["..."] * 2, [["a"]], [[]], [["a"], "..."], [1], {},
    {"a": "b"}, {"a": False}, {"a": True}, {"a": {}}, {"A": {}}, {"A": False}, {"": {}}, {"a=b": False}, {"port": 80}, [{}],
    [{"name": "a"}], [{"name": ""}], [{"name": "A"}], [{"name": 1}], [False], ["8080:80"], {"web": "8080:80"},
    {"a": {"name": 1}}, ["10.0.0.1", "fd00::1"], ["qemu", "auto"], "qemu", [""], ['a"b'],
]  # fmt: skip


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def words(type_):
    found = list(type_.get("enum", []))
    for each in type_.get("anyOf", []) + type_.get("allOf", []):
        found += words(each)
    return found


def definition(type_, schema=schema):
    """The table that a value is, or that its elements are; and how one of them is written."""
    text = json.dumps(type_)
    match = re.search(r'"#/definitions/([^"]+)"', text)
    if match is None:
        return None
    named = "patternProperties" in text
    return schema["definitions"][match[1]], (lambda table: {"a": table}) if named else (lambda table: table)


def wrapped_keys(table, wrap, schema=schema, depth=0):
    """Every key below a table, as a function from a value to what the table then holds."""
    for key, type_ in table["properties"].items():
        def place(value, key=key):
            return wrap({key: value})

        yield key, type_, place
        below = definition(type_, schema)
        if below is None and "properties" in type_:
            below = type_, lambda each: each
        if below is not None and depth < 3:
            inner, element = below
            yield from wrapped_keys(
                inner, lambda each, place=place, element=element: place(element(each)), schema, depth + 1
            )


def sweep():
    """Each key with each value: one machine (or network) a line, many a file, one run a file."""
    lines = []
    for root in ("vm", "network"):
        table, _ = definition(schema["properties"][root])
        for key, type_, place in wrapped_keys(table, lambda each: each):
            for value in VALUES + words(type_):
                if key == "count" and isinstance(value, int) and value > 3:
                    continue  # there would be too many machines
                lines.append((root, place(value)))
    refused = caught = 0
    size = 600
    with tempfile.TemporaryDirectory() as home:
        environment = dict(os.environ, MICROVMC_STATE_DIR=home + "/state", MICROVMC_RUNTIME_DIR=home + "/run")
        path = home + "/microvm.toml"
        for start in range(0, len(lines), size):
            chunk = lines[start : start + size]
            with open(path, "w", encoding="utf-8") as file:
                for number, (root, table) in enumerate(chunk):
                    file.write(f"{root}.n{number} = {toml(table)}\n")
                file.write("vm.last.nonsense = 1\n")  # so that decoding is where it ends
            ran = subprocess.run([microvmc, "check", "--json", path], capture_output=True, env=environment)
            said = json.loads(ran.stdout)
            assert len(said) < 1000, "the diagnostics are capped; make the files smaller"
            wrong = {each["line"]: each for each in said if each["severity"] == "error"}
            assert len(chunk) + 1 in wrong, said[-1]
            for number, (root, table) in enumerate(chunk):
                by_schema = not language.is_valid({root: {f"n{number}": table}})
                by_decoder = number + 1 in wrong
                refused += by_decoder
                caught += by_schema and by_decoder
                if by_schema and not by_decoder:
                    problem = why_not(language, {root: {f"n{number}": table}})
                    fail(f"{root}: {toml(table)}: the schema refuses what the decoder takes: {problem}")
    return len(lines), refused, caught


def spec_files(validator):
    """Specs that are right: those that are shipped, and golden ones."""
    paths = glob.glob(source + "/specs/*.toml") + glob.glob(golden + "/specs/*.toml")
    paths = [path for path in paths if not path.endswith(".machines.toml")]
    assert len(paths) > 20, paths
    for path in paths:
        with open(path, "rb") as file:
            problem = why_not(validator, tomllib.load(file))
        if problem:
            fail(f"{path} is right, and the schema refuses it: {problem}")
    return len(paths)


def sweep_specs(validator, schema):
    """Each key of a spec that is not a machine's with each value: a file each, many a run."""
    documents = []
    for key, type_ in schema["properties"].items():
        if key not in ("defaults", "template", "network", "vm", "step"):
            documents += [{key: value} for value in VALUES + words(type_)]
    step = schema["definitions"]["step"]
    pairs = re.findall(r'"required": \["([a-z]+)", "([a-z]+)"\]', json.dumps(step))
    choices = {name for pair in pairs for name in pair}
    assert "guest" in choices, "the steps' choice is not found"
    for key, type_, place in wrapped_keys(step, lambda each: each, schema):
        if json.dumps(place(0)).startswith('{"apply"'):
            continue  # machines' keys
        for value in VALUES + words(type_):
            table = place(value)
            if next(iter(table)) not in choices:
                table = {"guest": "true", **table}
            documents.append({"step": [table]})
    refused = caught = 0
    size = 150
    machine = {"vm": {"a": {"balloon": True, "volumes": {"a": {"size": 16}}}}}
    with tempfile.TemporaryDirectory() as home:
        environment = dict(os.environ, MICROVMC_STATE_DIR=home + "/state", MICROVMC_RUNTIME_DIR=home + "/run")
        for start in range(0, len(documents), size):
            paths = []
            for number, document in enumerate(documents[start : start + size]):
                whole = {**document, **machine, "step": document.get("step", [{"guest": "true"}])}
                paths.append(f"{home}/s{number}.toml")
                with open(paths[-1], "w", encoding="utf-8") as file:
                    file.writelines(f"{key} = {toml(value)}\n" for key, value in whole.items())
            with open(home + "/last.toml", "w", encoding="utf-8") as file:
                file.write("nonsense = 1\n")  # so that nothing runs, and the answer is what is wrong
            command = [microvm_test, *paths, home + "/last.toml", "--list", "--json"]
            ran = subprocess.run(command, capture_output=True, env=environment)
            said = json.loads(ran.stdout)
            assert len(said) < 1000, "the diagnostics are capped; make the runs smaller"
            wrong = {each["file"] for each in said if each["severity"] == "error"}
            assert home + "/last.toml" in wrong, said[-1]
            for path, document in zip(paths, documents[start : start + size]):
                whole = {**document, **machine, "step": document.get("step", [{"guest": "true"}])}
                by_schema = not validator.is_valid(whole)
                by_decoder = path in wrong
                refused += by_decoder
                caught += by_schema and by_decoder
                if by_schema and not by_decoder:
                    problem = why_not(validator, whole)
                    fail(f"{toml(document)}: the schema of specs refuses what is taken: {problem}")
    return len(documents), refused, caught


print("files that are right, all taken:", golden_files())
print("plans, all taken:", golden_plans())
print("cases of errors that the schema refuses, of those that the decoder refuses: %d of %d" % golden_errors())
tried, refused, caught = sweep()
print(f"keys with values: {tried}; refused by the decoder: {refused}, of which by the schema, too: {caught}")
if caught < 0.9 * refused:
    fail("the schema takes more than a tenth of what the decoder refuses")
if microvm_test:
    schema_text = subprocess.run([microvm_test, "schema"], check=True, capture_output=True).stdout
    spec_schema = json.loads(schema_text)
    Draft7Validator.check_schema(spec_schema)
    spec_language = Draft7Validator(spec_schema)
    print("specs that are right, all taken:", spec_files(spec_language))
    tried, refused, caught = sweep_specs(spec_language, spec_schema)
    print(f"keys of specs with values: {tried}; refused: {refused}, of which by the schema, too: {caught}")
    if caught < 0.7 * refused:
        fail("the schema of specs takes more than three tenths of what is refused")
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
