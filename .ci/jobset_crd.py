"""Write infra/kubernetes/manifests/jobset-crd.json anew from the Go module of JobSet.

    python .ci/jobset_crd.py          fetch the version that infra/kubernetes/naming.py names, write the file
    python .ci/jobset_crd.py --check  exit 1 if the file is not what the module says

Descriptions are left out: they are four fifths of 750 kB, and no part of what the API server checks. So is the schema of a pod's
template, nine tenths of the rest, for every preview reads and sends it all.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from infra.kubernetes.naming import IMAGES
from skylift.engine import golang

TARGET = Path(__file__).resolve().parent.parent / "infra" / "kubernetes" / "manifests" / "jobset-crd.json"
SOURCE = "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml"


def fetch(version: str) -> Path:
    """The module's folder in Go's own cache, checked by Go's checksum database."""
    command = [str(golang.program()), "mod", "download", "-json", f"sigs.k8s.io/jobset@{version}"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return Path(json.loads(done.stdout)["Dir"])


def bare(schema: Any, names: bool = False) -> Any:
    """A schema without descriptions; `names` says that the keys are names of properties, of which one may be `description`."""
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if names or key != "description"}
        return {key: bare(value, names=key == "properties" and not names) for key, value in kept.items()}
    return [bare(one) for one in schema] if isinstance(schema, list) else schema


def with_open_pods(definition: Any) -> Any:
    """A definition in which the template of pods may hold anything. JobSet's webhook refuses wrong types in it, and the API server wrong
    values in the Jobs that come of it; names that nobody knows are dropped."""
    for version in definition["spec"]["versions"]:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        job = spec["properties"]["replicatedJobs"]["items"]["properties"]["template"]["properties"]["spec"]
        assert "containers" in str(job["properties"]["template"]), "the template of pods is not where it was"
        job["properties"]["template"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return definition


def main(arguments: list[str]) -> int:
    version = IMAGES["jobset"].rpartition(":")[2]
    text = (fetch(version) / SOURCE).read_text(encoding="utf-8")
    wanted = (
        json.dumps(with_open_pods(bare(yaml.load(text, yaml.CSafeLoader))), separators=(",", ":"), sort_keys=True)
        + "\n"
    )
    if arguments == ["--check"]:
        return int(TARGET.read_text(encoding="utf-8") != wanted)
    TARGET.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
