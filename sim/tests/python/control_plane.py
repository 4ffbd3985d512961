"""boto3 against the simulated KMS and the stand-in for ECR, with moto behind both. Exits non-zero at the first thing that is not as on AWS.

Usage: control_plane.py STORY, where STORY is the name of a function below. The environment says who and where.
"""

import base64
import hashlib
import json
import os
import sys

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "us-east-1"
PROVIDER, CONSUMER = "111122223333", "444455556666"
NAME = "cloister/density"


def client(service, who, attempts=1):
    given = json.loads(os.environ[who])
    endpoint = os.environ["KMS" if service == "kms" else "FRONT"]
    retries = Config(retries={"mode": "standard", "total_max_attempts": attempts})
    return boto3.client(service, region_name=REGION, endpoint_url=endpoint, verify=os.environ["CA"], config=retries,
                        aws_access_key_id=given[0], aws_secret_access_key=given[1], aws_session_token=given[2])


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (code, error)
        return
    raise AssertionError(f"{code} was expected and the call succeeded")


def policy(*decrypt):
    owner = {"Sid": "Owner", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{PROVIDER}:root"}, "Action": "kms:*", "Resource": "*"}
    user = {"Sid": "Use", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{CONSUMER}:role/consumer"}, "Action": list(decrypt), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [owner, user] if decrypt else [owner]})


def keys():
    provider, consumer = client("kms", "PROVIDER"), client("kms", "CONSUMER")
    made = provider.create_key(Description="a model's", Policy=policy())["KeyMetadata"]
    arn = made["Arn"]
    assert arn.startswith(f"arn:aws:kms:{REGION}:{PROVIDER}:key/") and made["KeyUsage"] == "ENCRYPT_DECRYPT", made
    provider.create_alias(AliasName="alias/density", TargetKeyId=made["KeyId"])
    assert provider.describe_key(KeyId="alias/density")["KeyMetadata"]["Arn"] == arn
    refused("NotFoundException", consumer.describe_key, KeyId="alias/density")
    assert [key["KeyArn"] for key in provider.list_keys()["Keys"]] == [arn] and not consumer.list_keys()["Keys"]

    context = {"cloister:purpose": "model"}
    data_key = provider.generate_data_key(KeyId="alias/density", KeySpec="AES_256", EncryptionContext=context)
    assert data_key["KeyId"] == arn and len(data_key["Plaintext"]) == 32
    decrypt = {"CiphertextBlob": data_key["CiphertextBlob"], "EncryptionContext": context}
    assert provider.decrypt(**decrypt)["Plaintext"] == data_key["Plaintext"]

    refused("AccessDeniedException", consumer.decrypt, **decrypt, KeyId=arn)
    refused("AccessDeniedException", consumer.decrypt, **decrypt)
    refused("AccessDeniedException", consumer.describe_key, KeyId=arn)
    provider.put_key_policy(KeyId=arn, Policy=policy("kms:Decrypt", "kms:DescribeKey", "kms:PutKeyPolicy"))
    assert json.loads(provider.get_key_policy(KeyId=arn)["Policy"]) == json.loads(policy("kms:Decrypt", "kms:DescribeKey", "kms:PutKeyPolicy"))
    assert consumer.decrypt(**decrypt, KeyId=arn)["Plaintext"] == data_key["Plaintext"]
    assert consumer.describe_key(KeyId=arn)["KeyMetadata"]["AWSAccountId"] == PROVIDER
    refused("AccessDeniedException", consumer.generate_data_key, KeyId=arn, KeySpec="AES_256")
    refused("AccessDeniedException", consumer.put_key_policy, KeyId=arn, Policy=policy())
    unknown = json.loads(policy("kms:Decrypt"))
    unknown["Statement"][1]["Condition"] = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    refused("MalformedPolicyDocumentException", provider.put_key_policy, KeyId=arn, Policy=json.dumps(unknown))
    refused("NotFoundException", provider.get_key_policy, KeyId="alias/density")
    refused("NotFoundException", provider.put_key_policy, KeyId="alias/density", Policy=policy())
    refused("MalformedPolicyDocumentException", provider.create_key, Policy=json.dumps(unknown))
    assert consumer.decrypt(**decrypt, KeyId=arn)["Plaintext"] == data_key["Plaintext"]
    provider.put_key_policy(KeyId=arn, PolicyName="default", Policy=policy())
    refused("AccessDeniedException", consumer.decrypt, **decrypt, KeyId=arn)
    states(provider, arn, decrypt)
    signs(provider)


def states(provider, arn, decrypt):
    provider.enable_key_rotation(KeyId=arn)
    assert provider.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"]
    provider.update_key_description(KeyId=arn, Description="another")
    provider.tag_resource(KeyId=arn, Tags=[{"TagKey": "cloister", "TagValue": "yes"}])
    provider.disable_key(KeyId=arn)
    assert provider.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "Disabled"
    refused("DisabledException", provider.decrypt, **decrypt)
    refused("DisabledException", provider.generate_data_key, KeyId="alias/density", KeySpec="AES_256")
    refused("KMSInvalidStateException", provider.cancel_key_deletion, KeyId=arn)
    assert provider.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)["KeyId"] == arn
    refused("KMSInvalidStateException", provider.decrypt, **decrypt)
    refused("KMSInvalidStateException", provider.enable_key, KeyId=arn)
    provider.cancel_key_deletion(KeyId=arn)
    refused("DisabledException", provider.decrypt, **decrypt)
    provider.enable_key(KeyId=arn)
    assert provider.decrypt(**decrypt)["Plaintext"]


def signs(provider):
    made = provider.create_key(KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    assert provider.get_public_key(KeyId=made["KeyId"])["SigningAlgorithms"] == ["ECDSA_SHA_384"]
    assert provider.sign(KeyId=made["Arn"], Message=b"an image", SigningAlgorithm="ECDSA_SHA_384")["Signature"]
    refused("UnsupportedOperationException", provider.enable_key_rotation, KeyId=made["Arn"])
    refused("UnsupportedOperationException", provider.create_key, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    provider.create_alias(AliasName="alias/images", TargetKeyId=made["KeyId"])
    provider.update_alias(AliasName="alias/density", TargetKeyId=made["KeyId"])
    provider.delete_alias(AliasName="alias/images")
    refused("NotFoundException", provider.delete_alias, AliasName="alias/images")


def status(ecr, **image):
    answer = ecr.describe_image_replication_status(repositoryName=NAME, imageId=image or {"imageTag": "v1"})
    return [(one["registryId"], one["region"], one["status"], one.get("failureCode")) for one in answer["replicationStatuses"]]


def registry_policy(*actions):
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Sid": "Replication", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{PROVIDER}:root"}, "Action": list(actions),
        "Resource": f"arn:aws:ecr:{REGION}:{CONSUMER}:repository/cloister/*"}]})


def replication():
    provider, consumer = client("ecr", "PROVIDER"), client("ecr", "CONSUMER")
    assert client("sts", "CONSUMER").get_caller_identity()["Account"] == CONSUMER
    refused("RepositoryNotFoundException", status, ecr=provider)
    provider.create_repository(repositoryName=NAME, imageTagMutability="IMMUTABLE")
    refused("ImageNotFoundException", status, ecr=provider)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"size": 2}, "layers": []})
    provider.put_image(repositoryName=NAME, imageTag="v1", imageManifest=manifest)
    assert status(provider) == []
    destination = {"region": REGION, "registryId": CONSUMER}
    rule = {"destinations": [destination], "repositoryFilters": [{"filter": "cloister/", "filterType": "PREFIX_MATCH"}]}
    provider.put_replication_configuration(replicationConfiguration={"rules": [rule]})
    assert status(provider) == [(CONSUMER, REGION, "FAILED", "AccessDenied")]
    consumer.put_registry_policy(policyText=registry_policy("ecr:ReplicateImage"))
    assert status(provider) == [(CONSUMER, REGION, "FAILED", "AccessDenied")], "the repository must be made there, too"
    consumer.put_registry_policy(policyText=registry_policy("ecr:CreateRepository", "ecr:ReplicateImage"))
    assert [status(provider)[0][2] for _ in range(4)] == ["IN_PROGRESS", "IN_PROGRESS", "COMPLETE", "COMPLETE"]
    assert consumer.describe_repositories()["repositories"][0]["repositoryName"] == NAME


def failed():
    assert status(client("ecr", "PROVIDER")) == [(CONSUMER, REGION, "FAILED", "ImageTooOld")]


def faults():
    patient = client("ecr", "PROVIDER", attempts=4)
    assert patient.describe_repositories()["ResponseMetadata"]["RetryAttempts"] == 2, "throttled twice"
    assert patient.describe_registry()["ResponseMetadata"]["RetryAttempts"] == 1, "failed once"
    refused("ThrottlingException", client("ecr", "PROVIDER").describe_images, repositoryName=NAME)
    refused("ExpiredTokenException", patient.list_images, repositoryName=NAME)
    assert patient.list_images(repositoryName=NAME)["imageIds"]
    assert patient.describe_images(repositoryName=NAME)["imageDetails"]


def push(tag, layer):
    """Pushes an image of one layer as a container engine would, and gives its digest."""
    session = requests.Session()
    session.verify, session.auth = os.environ["CA"], ("cloister", os.environ["REGISTRY_PASSWORD"])
    # requests prefers these to what it is told.
    session.trust_env = False
    base = f"https://{os.environ['REGISTRY']}/v2/{NAME}"

    def blob(data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        begun = session.post(f"{base}/blobs/uploads/")
        assert begun.status_code == 202, begun.text
        done = session.put(begun.headers["Location"], params={"digest": digest}, data=data, headers={"Content-Type": "application/octet-stream"})
        assert done.status_code == 201, done.text
        return {"digest": digest, "size": len(data)}

    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(b"{}")}
    layers = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob(layer)}]
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers}).encode()
    pushed = session.put(f"{base}/manifests/{tag}", data=manifest, headers={"Content-Type": media_type})
    assert pushed.status_code == 201, pushed.text
    return pushed.headers["Docker-Content-Digest"]


def registry():
    provider, consumer = client("ecr", "PROVIDER"), client("ecr", "CONSUMER")
    refused("RepositoryNotFoundException", provider.describe_images, repositoryName=NAME)
    provider.create_repository(repositoryName=NAME)
    assert provider.describe_images(repositoryName=NAME)["imageDetails"] == []
    one, two = push("v1", b"one"), push("v2", b"two layers")
    assert push("latest", b"two layers") == two
    tagged = provider.describe_images(repositoryName=NAME, imageIds=[{"imageTag": "v2"}, {"imageDigest": two}])["imageDetails"]
    assert len(tagged) == 1 and tagged[0]["imageDigest"] == two and tagged[0]["imageTags"] == ["latest", "v2"], tagged
    assert tagged[0]["imageSizeInBytes"] == len(b"{}" + b"two layers") and tagged[0]["registryId"] == PROVIDER, tagged
    again = provider.describe_images(repositoryName=NAME, imageIds=[{"imageTag": "v2"}])["imageDetails"]
    assert again[0]["imagePushedAt"] == tagged[0]["imagePushedAt"]
    listed = {(one_id["imageDigest"], one_id["imageTag"]) for one_id in provider.list_images(repositoryName=NAME)["imageIds"]}
    assert listed == {(one, "v1"), (two, "v2"), (two, "latest")}
    got = provider.batch_get_image(repositoryName=NAME, imageIds=[{"imageTag": "v1"}, {"imageTag": "v9"}])
    assert "sha256:" + hashlib.sha256(got["images"][0]["imageManifest"].encode()).hexdigest() == one
    assert [failure["failureCode"] for failure in got["failures"]] == ["ImageNotFound"]
    refused("ImageNotFoundException", provider.describe_images, repositoryName=NAME, imageIds=[{"imageTag": "v9"}])
    refused("ImageNotFoundException", provider.describe_images, repositoryName=NAME, imageIds=[{"imageTag": "v1", "imageDigest": two}])
    refused("InvalidParameterException", provider.describe_images, repositoryName=NAME, imageIds=[{"imageTag": "../v1"}])
    refused("RepositoryNotFoundException", consumer.describe_images, repositoryName=NAME)
    refused("RepositoryNotFoundException", provider.describe_images, repositoryName=NAME, registryId=CONSUMER)
    assert status(provider, imageDigest=one) == []
    refused("ImageNotFoundException", status, ecr=provider, imageTag="v9")
    deleted = provider.batch_delete_image(repositoryName=NAME, imageIds=[{"imageTag": "v1"}])
    assert deleted["imageIds"] == [{"imageDigest": one, "imageTag": "v1"}], deleted
    refused("ImageNotFoundException", provider.describe_images, repositoryName=NAME, imageIds=[{"imageDigest": one}])
    token = provider.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    assert base64.b64decode(token).startswith(b"AWS:")


if __name__ == "__main__":
    {story.__name__: story for story in (keys, replication, failed, faults, registry)}[sys.argv[1]]()
