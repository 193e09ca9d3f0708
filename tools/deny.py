#!/usr/bin/env python3
"""Checks the dependency graph: against deny.toml licences, sources and which crate may name which; features here."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


# Features that somebody far away in the graph could switch off without an error, and that we live by: without these,
# signatures are recovered by k256, which takes 4.4 times as long as libsecp256k1.
REQUIRED_FEATURES = {"alloy-consensus": {"secp256k1"}, "revm-precompile": {"secp256k1"}}


def satisfied(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met with allowed licences only."""
    # Older manifests separate alternatives by a slash.
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def alternatives() -> bool:
        met = conjunction()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = conjunction() or met
        return met

    def conjunction() -> bool:
        met = term()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = term() and met
        return met

    def term() -> bool:
        if tokens[0] == "(":
            tokens.pop(0)
            met = alternatives()
            tokens.pop(0)
            return met
        licence = tokens.pop(0)
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            licence = f"{licence} WITH {tokens.pop(0)}"
            return licence in allowed or licence.split(" WITH ")[0] in allowed
        return licence in allowed

    return alternatives()


def main() -> int:
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--format-version", "1", "--locked"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout
    )
    packages = {package["id"]: package for package in metadata["packages"]}
    members = set(metadata["workspace_members"])
    problems = []

    allowed = set(rules["licenses"]["allow"])
    for package in packages.values():
        label = f"{package['name']} {package['version']}"
        licence = package.get("license")
        if not licence:
            if not package.get("license_file"):
                problems.append(f"licence: {label} states none")
        elif not satisfied(licence, allowed):
            problems.append(f"licence: {label} is under {licence}")
        source = package.get("source")
        if package["id"] not in members and not (source or "").startswith("registry+"):
            problems.append(f"source: {label} comes from {source or 'a path outside the workspace'}")

    versions: dict[str, set[str]] = {}
    dependents: dict[str, set[str]] = {}
    for node in metadata["resolve"]["nodes"]:
        name = packages[node["id"]]["name"]
        for feature in sorted(REQUIRED_FEATURES.get(name, set()) - set(node["features"])):
            problems.append(f"features: {name} is built without {feature}")
        versions.setdefault(name, set()).add(packages[node["id"]]["version"])
        for dependency in node["deps"]:
            # Tests may look at anything; the walls are about what ships.
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                dependents.setdefault(packages[dependency["pkg"]]["name"], set()).add(node["id"])
    for rule in rules["bans"]["deny"]:
        crate = rule["crate"]
        if rule.get("deny-multiple-versions"):
            if len(versions.get(crate, ())) > 1:
                problems.append(f"bans: {crate} is here in versions {', '.join(sorted(versions[crate]))}")
        elif "wrappers" in rule:
            # Third-party crates may lean on each other; only our own edges are ours to draw.
            ours = {packages[user]["name"] for user in dependents.get(crate, ()) if user in members}
            for user in sorted(ours - set(rule["wrappers"])):
                problems.append(f"bans: {user} names {crate}, which only {', '.join(rule['wrappers'])} may")
        elif crate in versions:
            problems.append(f"bans: {crate} is in the graph")

    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"deny: {len(packages)} packages checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
