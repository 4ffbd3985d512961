"""AWS's own clients against the simulated KMS: boto3, then the AWS CLI. Exits non-zero at the first thing that is not as on AWS.

Usage: kms_clients.py ENDPOINT CA CLOISTER_SIM NSM_FOLDER WORK_FOLDER
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
from asn1crypto import cms
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ENDPOINT, CA, SIM, NSM, WORK = sys.argv[1:]
REGION = "us-east-1"
OWNER = ("CLOISTERSIMMODELOWNER", "simulated-secret-of-the-model-owner", None)
PARENT = ("CLOISTERSIMPARENT", "simulated-secret-of-the-parent", "simulated-session-token-of-the-parent")
CONTEXT = {"cloister:purpose": "model", "cloister:model": "density"}
PCR0 = "10" * 48  # what `cloister-sim nsm attest` measures when not told otherwise


def client(who):
    retries = Config(retries={"total_max_attempts": 1})
    return boto3.client("kms", region_name=REGION, endpoint_url=ENDPOINT, verify=CA, config=retries,
                        aws_access_key_id=who[0], aws_secret_access_key=who[1], aws_session_token=who[2])


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (code, error)
        assert error.response["ResponseMetadata"]["RequestId"], error
        return error
    raise AssertionError(f"{code} was expected and the call succeeded")


def attest(name, key, *more):
    spki, document = Path(WORK, "spki.der"), Path(WORK, f"{name}.cbor")
    spki.write_bytes(key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    subprocess.run([SIM, "nsm", "attest", "--dir", NSM, "--public-key", spki, "--out", document, *more], check=True)
    return {"AttestationDocument": document.read_bytes(), "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256"}


def open_cms(message, key):
    info = cms.ContentInfo.load(message)
    assert info["content_type"].native == "enveloped_data"
    enveloped = info["content"]
    assert enveloped["version"].native == "v2" and len(enveloped["recipient_infos"]) == 1
    recipient = enveloped["recipient_infos"][0].chosen
    algorithm = recipient["key_encryption_algorithm"]
    assert algorithm["algorithm"].native == "rsaes_oaep"
    assert algorithm["parameters"]["hash_algorithm"]["algorithm"].native == "sha256"
    assert algorithm["parameters"]["mask_gen_algorithm"]["parameters"]["algorithm"].native == "sha256"
    oaep = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    content_key = key.decrypt(recipient["encrypted_key"].native, oaep)
    content = enveloped["encrypted_content_info"]
    assert content["content_encryption_algorithm"]["algorithm"].native == "aes256_cbc"
    iv = content["content_encryption_algorithm"]["parameters"].native
    decryptor = Cipher(algorithms.AES(content_key), modes.CBC(iv)).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    padded = decryptor.update(content["encrypted_content"].native) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()


def release_policy():
    owner = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:GetPublicKey", "kms:GenerateDataKey"]
    statements = [
        {"Sid": "owner", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": owner, "Resource": "*"},
        {"Sid": "enclave", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:role/cloister-parent"},
         "Action": "kms:Decrypt", "Resource": "*",
         "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": PCR0},
                       "StringEquals": {"kms:EncryptionContext:cloister:purpose": "model"}}},
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def ordinary_use(owner):
    created = owner.create_key(Description="of the test")["KeyMetadata"]
    arn = created["Arn"]
    assert arn.startswith(f"arn:aws:kms:{REGION}:111122223333:key/") and created["KeyState"] == "Enabled"
    described = owner.describe_key(KeyId=created["KeyId"])["KeyMetadata"]
    assert described == created and described["Description"] == "of the test"
    assert json.loads(owner.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])["Statement"][0]["Action"] == "kms:*"

    made = owner.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext=CONTEXT)
    assert len(made["Plaintext"]) == 32 and made["KeyId"] == arn and len(made["CiphertextBlob"]) <= 6144
    opened = owner.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["Plaintext"] and opened["KeyId"] == arn
    assert opened["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT" and "CiphertextForRecipient" not in opened

    blob = owner.encrypt(KeyId=arn, Plaintext=b"a secret", EncryptionContext=CONTEXT)["CiphertextBlob"]
    assert owner.decrypt(KeyId=arn, CiphertextBlob=blob, EncryptionContext=CONTEXT)["Plaintext"] == b"a secret"

    other = owner.create_key()["KeyMetadata"]["Arn"]
    refused("InvalidCiphertextException", owner.decrypt, CiphertextBlob=blob, EncryptionContext={"cloister:purpose": "image"})
    refused("InvalidCiphertextException", owner.decrypt, CiphertextBlob=blob)
    refused("InvalidCiphertextException", owner.decrypt, CiphertextBlob=blob[:-1], EncryptionContext=CONTEXT)
    refused("IncorrectKeyException", owner.decrypt, CiphertextBlob=blob, KeyId=other, EncryptionContext=CONTEXT)
    refused("NotFoundException", owner.describe_key, KeyId="12345678-1234-1234-1234-123456789012")
    refused("UnsupportedOperationException", owner.get_public_key, KeyId=arn)
    refused("UnsupportedOperationException", owner.create_key, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    refused("UnknownOperationException", owner.list_keys)
    refused("ValidationException", owner.generate_data_key, KeyId=arn)
    refused("AccessDeniedException", client(PARENT).decrypt, CiphertextBlob=blob, EncryptionContext=CONTEXT)
    unknown = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*",
               "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]}
    refused("MalformedPolicyDocumentException", owner.put_key_policy, KeyId=arn, Policy=json.dumps(unknown))
    try:
        owner.decrypt(CiphertextBlob=blob)
    except owner.exceptions.InvalidCiphertextException:
        pass


def attested_use(owner, parent):
    arn = owner.create_key()["KeyMetadata"]["Arn"]
    owner.put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps(release_policy()))
    assert json.loads(owner.get_key_policy(KeyId=arn)["Policy"]) == release_policy()
    made = owner.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext=CONTEXT)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    decrypt = {"KeyId": arn, "CiphertextBlob": made["CiphertextBlob"], "EncryptionContext": CONTEXT}

    recipient = attest("measured", key)
    for _ in range(2):  # KMS takes a document more than once
        answer = parent.decrypt(**decrypt, Recipient=recipient)
        assert not answer.get("Plaintext") and answer["KeyId"] == arn
        assert answer["CiphertextForRecipient"][:2] == b"\x30\x80", "BER of indefinite length"
        assert open_cms(answer["CiphertextForRecipient"], key) == made["Plaintext"]

    refused("AccessDeniedException", parent.decrypt, **decrypt)
    refused("AccessDeniedException", parent.decrypt, **decrypt, Recipient=attest("other", key, "--pcr", "0=" + "22" * 48))
    refused("AccessDeniedException", parent.decrypt, **decrypt, Recipient=attest("debug", key, "--debug"))
    refused("AccessDeniedException", owner.decrypt, **decrypt, Recipient=recipient)
    refused("AccessDeniedException", parent.decrypt, **{**decrypt, "EncryptionContext": {"cloister:purpose": "image"}}, Recipient=recipient)
    refused("InvalidCiphertextException", parent.decrypt, **{**decrypt, "EncryptionContext": {"cloister:purpose": "model"}}, Recipient=recipient)
    changed = {**recipient, "AttestationDocument": recipient["AttestationDocument"][:-1] + b"\0"}
    refused("ValidationException", parent.decrypt, **decrypt, Recipient=changed)
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    refused("ValidationException", parent.decrypt, **decrypt, Recipient=attest("short", short))

    data_key = owner.generate_data_key(KeyId=arn, NumberOfBytes=24, Recipient=recipient)
    assert not data_key.get("Plaintext") and len(open_cms(data_key["CiphertextForRecipient"], key)) == 24


def credentials(owner):
    refused("InvalidSignatureException", client((OWNER[0], "wrong", None)).create_key)
    refused("UnrecognizedClientException", client(("CLOISTERSIMNOBODY", OWNER[1], None)).create_key)
    refused("UnrecognizedClientException", client((PARENT[0], PARENT[1], "another token")).create_key)
    refused("AccessDeniedException", client(PARENT).create_key)


def command_line():
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": OWNER[0], "AWS_SECRET_ACCESS_KEY": OWNER[1], "AWS_DEFAULT_REGION": REGION,
                   "AWS_MAX_ATTEMPTS": "1", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    environment.pop("AWS_SESSION_TOKEN", None)

    def aws(*arguments):
        command = [sys.executable, "-m", "awscli", "kms", *arguments, "--endpoint-url", ENDPOINT, "--ca-bundle", CA, "--output", "json"]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    created = aws("create-key")
    assert created.returncode == 0, created.stderr
    arn = json.loads(created.stdout)["KeyMetadata"]["Arn"]
    secret = Path(WORK, "secret")
    secret.write_bytes(b"by command line")
    encrypted = aws("encrypt", "--key-id", arn, "--plaintext", f"fileb://{secret}", "--encryption-context", "a=b")
    assert encrypted.returncode == 0, encrypted.stderr
    blob = Path(WORK, "blob")
    blob.write_bytes(base64.b64decode(json.loads(encrypted.stdout)["CiphertextBlob"]))
    opened = aws("decrypt", "--ciphertext-blob", f"fileb://{blob}", "--encryption-context", "a=b")
    assert opened.returncode == 0, opened.stderr
    assert base64.b64decode(json.loads(opened.stdout)["Plaintext"]) == b"by command line"
    other = aws("decrypt", "--ciphertext-blob", f"fileb://{blob}", "--encryption-context", "a=c")
    assert other.returncode != 0 and "InvalidCiphertextException" in other.stderr, other.stderr


if __name__ == "__main__":
    owner_client, parent_client = client(OWNER), client(PARENT)
    ordinary_use(owner_client)
    attested_use(owner_client, parent_client)
    credentials(owner_client)
    command_line()
    print("boto3 and the AWS CLI agree with the simulated KMS")
