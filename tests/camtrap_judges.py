"""The judges of Camtrap DP: frictionless for its tables, jsonschema for their description."""

import json
from pathlib import Path

import pytest


def standards():
    """Where the standard's schemas are; none where the tests run without them."""
    for above in Path(__file__).resolve().parents:
        for folder in (above / "shared/standards", above / "standards"):
            if (folder / "camtrap-dp-1.0.2-camtrap-dp-profile.json").exists():
                return folder
    return None


needs_standards = pytest.mark.skipif(standards() is None, reason="schemas of Camtrap DP not here")


def schema(name):
    return json.loads((standards() / f"camtrap-dp-1.0.2-{name}.json").read_text())


def judged_by_frictionless(folder):
    """Ask frictionless about the tables; its schemas are files, because the URLs need a network."""
    import frictionless

    description = json.loads((folder / "datapackage.json").read_text())
    found = []
    resources = []
    for resource in description["resources"]:
        (folder / f"{resource['name']}.schema.json").write_text(
            json.dumps(schema(f"{resource['name']}-table-schema"))
        )
        kept = {key: resource[key] for key in ("name", "path", "encoding")}
        resources.append(kept | {"schema": f"{resource['name']}.schema.json"})
    (folder / "judged.json").write_text(json.dumps({"resources": resources}))
    report = frictionless.validate(str(folder / "judged.json"), type="package")
    for task in report.tasks:
        found += [f"{task.name}: {error.message}" for error in task.errors]
    return found + [error.message for error in report.errors]


def judged_by_the_profile(folder):
    """Ask jsonschema about ``datapackage.json``; what other sites define is left out."""
    import jsonschema

    profile = schema("camtrap-dp-profile")

    def local(node):
        if isinstance(node, dict):
            kept = {k: v for k, v in node.items() if k != "$ref" or v.startswith("#")}
            return {key: local(value) for key, value in kept.items()}
        return [local(value) for value in node] if isinstance(node, list) else node

    description = json.loads((folder / "datapackage.json").read_text())
    judge = jsonschema.Draft4Validator(local(profile))
    return [error.message for error in judge.iter_errors(description)]
