"""run_action.py ACTION INPUT=VALUE...: runs the steps of a composite action as GitHub's runner does,
with the inputs given and the defaults of the others."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

path = pathlib.Path(sys.argv[1]).resolve()
action = yaml.safe_load(path.read_text(encoding="utf-8"))
inputs = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
for word in sys.argv[2:]:
    name, value = word.split("=", 1)
    assert name in inputs, f"the action has no input {name}"
    inputs[name] = value
known = {f"inputs.{name}": value for name, value in inputs.items()} | {"github.action_path": str(path.parent)}

assert action["runs"]["using"] == "composite"
with tempfile.TemporaryDirectory() as temp:
    added = pathlib.Path(temp, "path")
    added.touch()
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash" and "${{" not in step["run"], step["name"]
        own = {name: re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known[found[1]], value)
               for name, value in step.get("env", {}).items()}
        prefix = ":".join(reversed(added.read_text(encoding="utf-8").splitlines()))
        environment = os.environ | own | {
            "RUNNER_TEMP": temp, "GITHUB_PATH": str(added), "PATH": f"{prefix}:{os.environ['PATH']}".lstrip(":")}
        script = pathlib.Path(temp, "script")
        script.write_text(step["run"], encoding="utf-8")
        result = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
                                env=environment, stderr=subprocess.STDOUT, check=False)
        if result.returncode:
            sys.exit(result.returncode)
    print("in PATH afterwards:", added.read_text(encoding="utf-8").strip().replace(temp, "RUNNER_TEMP"))
