"""Reads the files in deploy/ that describe containers: prints one as JSON, or checks all against their schemas.

manifests.py json FILE      the documents of a YAML file, as a JSON array
manifests.py check SCHEMA   deploy/compose.yaml against this schema, and deploy/kubernetes strictly against that of Kubernetes
"""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
# The oldest version that is maintained somewhere still, and the newest that the schemas are known of.
KUBERNETES = ["1.29", "1.34"]


def documents(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


def check_compose(schema_path):
    schema = json.loads(pathlib.Path(schema_path).read_text(encoding="utf-8"))
    (compose,) = documents(DEPLOY / "compose.yaml")
    # Newer than the schema.
    compose.pop("name")
    validator = jsonschema.Draft7Validator(schema)
    return [f"compose.yaml: {list(error.path)}: {error.message}" for error in validator.iter_errors(compose)]


def check_kubernetes():
    found = []
    checked = 0
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        # Not a resource of a cluster.
        if path.name == "kustomization.yaml":
            continue
        for document in documents(path):
            for version in KUBERNETES:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                    checked += 1
                except kubernetes_validate.ValidationError as error:
                    found.append(f"{path.name}: Kubernetes {version}: {error.message}")
    assert checked + len(found) >= 16, checked
    return found


def main():
    if sys.argv[1] == "json":
        print(json.dumps(documents(sys.argv[2])))
        return
    found = check_compose(sys.argv[2]) + check_kubernetes()
    if found:
        sys.exit("\n".join(found))


main()
