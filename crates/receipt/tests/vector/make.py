"""Makes receipt.cbor and key.der: a receipt by another program than ours, with cbor2 6.3.0, cryptography 50.0.2 and pycose 1.1.0.

cbor2 encodes the claims, pycose signs them. The document that vouches for the key is a few words here, so that the whole can be read
byte by byte. Run it in this folder; the key is always the same one, and the signature is made anew.
"""

import hashlib
import pathlib

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pycose.algorithms import Es384
from pycose.headers import Algorithm, ContentType
from pycose.keys import EC2Key
from pycose.messages import Sign1Message

DOCUMENT = b"an attestation document"


def view(name, scores):
    # A white image of two rows of three pixels.
    pixels = (2).to_bytes(4, "big") + (3).to_bytes(4, "big") + b"\xff\xff" * 6
    return {
        "view": name,
        "laterality": name[0],
        "bytes_sha256": hashlib.sha256(name.encode()).digest(),
        "pixels_sha256": hashlib.sha256(pixels).digest(),
        "rows": 2,
        "columns": 3,
        "window": [0, 2, 1, 3],
        "best_center": [1, -70000],
        "scores": scores,
        "map": {"label": "malignant", "sha256": map_digest("malignant", 2, 3, bytes([0, 1, 2, 253, 254, 255]))},
    }


def map_digest(label, rows, columns, values):
    number = lambda count: count.to_bytes(4, "big")
    return hashlib.sha256(number(len(label)) + label.encode() + number(rows) + number(columns) + values).digest()


CLAIMS = {
    "v": 1,
    "nonce": bytes(range(16)),
    "time": 1790000000123,
    "software": "cloister-enclave 0.1.0",
    "kernels": "tract 0.23.9 x86_64,avx,avx2,fma",
    "model": {"name": "demo", "version": 3, "digest": hashlib.sha384(b"package").digest()},
    "preprocessing": "screening-mammogram/1",
    "crops": {"seed": 0, "count": 10},
    # Scores that half, single and double precision hold.
    "views": [
        view("L-CC", {"benign": 0.25, "malignant": 0.1}) | {"sop_instance_uid": "1.2.840.10008.1", "findings": ["edge-line", "secondary-capture"]},
        view("L-MLO", {"benign": 0.75, "malignant": 1 - 2**-20}),
    ],
    "breasts": {"left": {"benign": 0.5, "malignant": (0.1 + 1 - 2**-20) / 2}},
    "findings": ["missing-R-CC", "missing-R-MLO"],
}


def main():
    key = ec.derive_private_key(int.from_bytes(hashlib.sha384(b"a test's key").digest(), "big"), ec.SECP384R1())
    message = Sign1Message(
        phdr={Algorithm: Es384, ContentType: "application/vnd.cloister.receipt+cbor"},
        uhdr={"attestation": DOCUMENT},
        payload=cbor2.dumps(CLAIMS, canonical=True),
        external_aad=b"cloister receipt 1" + DOCUMENT,
        key=EC2Key._from_cryptography_key(key),
    )
    folder = pathlib.Path(__file__).parent
    folder.joinpath("receipt.cbor").write_bytes(message.encode())
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    folder.joinpath("key.der").write_bytes(spki)


if __name__ == "__main__":
    main()
