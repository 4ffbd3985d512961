//! Two companies, two accounts: from nothing to an enclave with the model, to another image, and back to nothing.

use std::process::Command;

use cloister_attest::Policy;
use cloister_sim::ecr::{Fault, State};
use cloister_tests::{Accounts, CONSUMER, PROVIDER, Party, binary, run};
use serde_json::{Value, json};

use Party::{Consumer, Provider};

const NOT_VERIFIED: i32 = 77;
const INPUT: i32 = 65;
const UNAVAILABLE: i32 = 69;
const USAGE: i32 = 64;

fn policy(accounts: &Accounts, name: &str) -> Policy {
    Policy::from_toml(&std::fs::read_to_string(accounts.path(name)).unwrap()).unwrap()
}

/// Both accounts set up, and a sealed model: the model's key.
async fn set_up() -> (Accounts, String) {
    let accounts = Accounts::start().await;
    let key = accounts.json(Provider, "provider init")["key"].as_str().unwrap().to_owned();
    accounts.json(Consumer, &format!("consumer init --model-key {key} --pod-identity"));
    accounts.json(Provider, "provider public-key --out provider.pem");
    (accounts, key)
}

fn seal(accounts: &Accounts, key: &str) {
    let endpoint = format!("https://localhost:{}", accounts.kms.address.port());
    let line =
        format!("model seal --key-id {key} --endpoint {endpoint} --ca aws-ca.pem --out model.sealed --package package");
    run(&mut accounts.command(Provider, &line)).success();
}

fn publish(accounts: &Accounts, name: &str) -> String {
    let (host, registry) = (accounts.host(Provider), accounts.registry(Provider));
    let parts = format!(
        "--image {name}.tar --measurements {name}.json --policy {name}.toml --tag {name} --root root.pem --ecr"
    );
    format!("provider publish {parts} --registry {host} {registry}")
}

fn verify(accounts: &Accounts, name: &str) -> String {
    let (host, registry) = (accounts.host(Consumer), accounts.registry(Consumer));
    format!("consumer verify-image {host}/cloister:{name} --ecr --key provider.pem --root root.pem {registry}")
}

/// The tags of what belongs to images.
fn attachments(listed: &str) -> Vec<String> {
    let listed: Value = serde_json::from_str(listed).unwrap();
    let tags = listed["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
    tags.filter(|tag| tag.starts_with("sha256-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_goes_from_its_owner_to_an_enclave_of_the_data_owners_and_to_the_next_image() {
    let accounts = Accounts::start().await;

    // The provider's keys and repository.
    let preview = accounts.json(Provider, "provider init --dry-run");
    assert_eq!(preview["changes"].as_array().unwrap().len(), 3);
    assert!(accounts.changes().is_empty(), "a preview changes nothing: {:?}", accounts.changes());
    let made = accounts.json(Provider, &format!("provider init --account {PROVIDER}"));
    assert!(made["changes"].as_array().unwrap().iter().all(|change| change["applied"] == true), "{made}");
    assert!(!made["next"].as_array().unwrap().is_empty());
    accounts.unchanged(Provider, "provider init");
    let key = made["key"].as_str().unwrap().to_owned();
    assert_eq!(accounts.json(Provider, "provider init")["key"], key);
    assert!(key.starts_with(&format!("arn:aws:kms:us-east-1:{PROVIDER}:key/")), "{key}");
    accounts.json(Provider, "provider public-key --out provider.pem");

    // The consumer's role.
    let role = format!("consumer init --model-key {key} --pod-identity");
    let made = accounts.json(Consumer, &role);
    assert_eq!(made["role"], format!("arn:aws:iam::{CONSUMER}:role/cloister-parent"));
    accounts.unchanged(Consumer, &role);

    // A sealed model, and a measured image.
    let package = accounts.package();
    seal(&accounts, &key);
    accounts.build("first", &package);

    // A place for it on both sides.
    let share = format!("provider share --consumer {CONSUMER}");
    accounts.json(Provider, &share);
    accounts.unchanged(Provider, &share);
    let accept = format!("consumer accept --provider {PROVIDER} --repository cloister");
    accounts.json(Consumer, &accept);
    accounts.unchanged(Consumer, &accept);

    // It is published, copied, and found to be what was promised.
    let published = accounts.json(Provider, &publish(&accounts, "first"));
    assert_eq!(published["changes"].as_array().unwrap().len(), 6, "{published}");
    accounts.unchanged(Provider, &publish(&accounts, "first"));
    accounts.replicate("cloister");
    let status = accounts.json(Provider, "provider status --tag first --wait --timeout 60");
    assert_eq!(
        status["copies"],
        json!([{"to": {"region": "us-east-1", "account": CONSUMER}, "status": "COMPLETE", "failure": null}])
    );
    assert!(published["image"].as_str().unwrap().ends_with(status["digest"].as_str().unwrap()));
    let verified = accounts.json(Consumer, &verify(&accounts, "first"));
    assert_eq!(verified["verified"], true, "{verified}");

    // The key opens for it, and for no other.
    let allow = |name: &str| {
        let consumer = format!("{CONSUMER}:cloister-parent");
        format!("provider policy --measurements {name}.json --consumer {consumer} --sealed model.sealed")
    };
    let before = accounts.changes();
    let shown = accounts.json(Provider, &allow("first"));
    assert_eq!(shown["changes"].as_array().unwrap().len(), 1);
    assert_eq!(accounts.changes(), before, "without --apply it is shown");
    let let_in = accounts.json(Provider, &format!("{} --apply", allow("first")));
    accounts.unchanged(Provider, &format!("{} --apply", allow("first")));
    let undo = let_in["changes"][0]["undo"].as_str().unwrap().strip_prefix("cloister ").unwrap();
    accounts.json(Provider, undo);
    assert_eq!(accounts.json(Provider, &allow("first"))["changes"].as_array().unwrap().len(), 1, "it was taken back");
    accounts.json(Provider, &format!("{} --apply", allow("first")));
    let booted = accounts.boot("first", &key, "model.sealed").await;
    let session = booted.session(&policy(&accounts, "first.toml")).await;
    assert_eq!(session.attested().label, "first");
    drop(booted);
    accounts.build("second", &package);
    let other = accounts.boot("second", &key, "model.sealed").await;
    let said = other.refused(&policy(&accounts, "second.toml")).await;
    assert!(said.contains("kms:Decrypt") && said.lines().count() == 1, "{said}");
    drop(other);

    // The next image: both, and then it alone.
    accounts.json(Provider, &publish(&accounts, "second"));
    accounts.json(Provider, &format!("{} --apply", allow("second")));
    for name in ["first", "second"] {
        let booted = accounts.boot(name, &key, "model.sealed").await;
        drop(booted.session(&policy(&accounts, &format!("{name}.toml"))).await);
    }
    let withdraw = "provider policy --measurements first.json --withdraw --apply";
    accounts.json(Provider, withdraw);
    accounts.unchanged(Provider, withdraw);
    let old = accounts.boot("first", &key, "model.sealed").await;
    old.refused(&policy(&accounts, "first.toml")).await;
    let new = accounts.boot("second", &key, "model.sealed").await;
    drop(new.session(&policy(&accounts, "second.toml")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_made_is_taken_back_by_the_commands_that_were_named() {
    let (accounts, key) = set_up().await;
    let package = accounts.package();
    accounts.build("first", &package);
    accounts.json(Provider, &format!("provider share --consumer {CONSUMER}"));
    accounts.json(Consumer, &format!("consumer accept --provider {PROVIDER} --repository cloister"));
    let published = accounts.json(Provider, &publish(&accounts, "first"));

    // A repository with images in it stays.
    let kept = accounts.json(Provider, "provider retire --dry-run");
    assert!(kept["warnings"].to_string().contains("holds images"), "{kept}");
    let undo = published["changes"][0]["undo"].as_str().unwrap().strip_prefix("cloister ").unwrap().to_owned();
    accounts.json(Provider, &undo);
    accounts.unchanged(Provider, &undo);
    let mut retired = Value::Null;
    for (party, undo) in [
        (Provider, format!("provider unshare --consumer {CONSUMER} --repository cloister")),
        (Consumer, format!("consumer decline --provider {PROVIDER} --repository cloister")),
        (Consumer, "consumer retire".to_owned()),
        (Provider, "provider retire".to_owned()),
    ] {
        retired = accounts.json(party, &undo);
        assert!(!retired["changes"].as_array().unwrap().is_empty(), "{undo}: {retired}");
        accounts.unchanged(party, &undo);
    }
    // The keys come back within their days, by the command that was named, under their old names.
    let undo = retired["changes"][0]["undo"].as_str().unwrap().strip_prefix("cloister ").unwrap().to_owned();
    accounts.json(Provider, &undo);
    let back = accounts.json(Provider, "provider init");
    assert_eq!(back["changes"], json!([]), "{back}");
    assert_eq!(back["key"], key);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_other_side_finds_is_what_was_promised_or_it_is_told() {
    let (accounts, _) = set_up().await;
    let package = accounts.package();
    accounts.build("first", &package);
    accounts.build("other", &package);

    // Nothing is published that is not what it is said to be.
    let (host, registry) = (accounts.host(Provider), accounts.registry(Provider));
    for (parts, part) in [
        ("--image first.tar --measurements other.json --policy first.toml", "measurements"),
        ("--image first.tar --measurements first.json --policy other.toml", "policy"),
    ] {
        let refused = accounts
            .run(Provider, &format!("provider publish {parts} --registry {host} --ecr --root root.pem {registry}"));
        assert_eq!(refused.code, INPUT, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("nothing was published") && refused.stderr.contains(part),
            "{}",
            refused.stderr
        );
    }
    accounts.json(Provider, &publish(&accounts, "first"));
    accounts.replicate("cloister");
    let said = accounts.run(Consumer, &verify(&accounts, "first")).success();
    assert!(said.contains("it is what was promised") && said.contains("@sha256:"), "{said}");

    // A stranger reads the same image, artifacts and signatures.
    let (from, trust) = (&accounts.registries[1], accounts.registries[1].trust().display().to_string());
    let creds = "AWS:444455556666-auth-token";
    let listed = accounts
        .skopeo(&["list-tags", "--creds", creds, "--cert-dir", &trust, &format!("docker://{}/cloister", from.host())])
        .success();
    for end in [".sig", ".measurements", ".policy"] {
        assert!(listed.contains(end), "{listed}");
    }

    // A policy for another root; a signature for another tag or repository.
    let root = accounts.run(Consumer, &verify(&accounts, "first").replace("--root root.pem", ""));
    assert_eq!(root.code, NOT_VERIFIED, "{}", root.stderr);
    assert!(root.stderr.contains("its root is not Amazon's"), "{}", root.stderr);
    let name = format!("{}/cloister", from.host());
    for (old, new, reason) in
        [("first", "cloister:newest", "an older or another release"), ("first", "web:first", "another repository's")]
    {
        let to = format!("docker://{}/{new}", from.host());
        let login = ["--src-creds", creds, "--dest-creds", creds, "--src-cert-dir", &trust, "--dest-cert-dir", &trust];
        for tag in [old.to_owned()].into_iter().chain(attachments(&listed)) {
            let target = if tag == old {
                to.clone()
            } else {
                format!("docker://{}/{}:{tag}", from.host(), new.split(':').next().unwrap())
            };
            let source = format!("docker://{name}:{tag}");
            let copy = [&["copy", "--preserve-digests"][..], &login, &[&source, &target]].concat();
            accounts.skopeo(&copy).success();
        }
        let replayed = accounts.run(Consumer, &verify(&accounts, "first").replace("cloister:first", new));
        assert_eq!(replayed.code, NOT_VERIFIED, "{new}: {}", replayed.stdout);
        assert!(replayed.stderr.contains(reason), "{}", replayed.stderr);
    }

    // Another's key; other measurements; another image under the same tag's name.
    let key = "openssl ecparam -name secp384r1 -genkey -noout -out other.key && openssl ec -in other.key -pubout -out other.pem";
    run(Command::new("sh").args(["-c", key]).current_dir(accounts.path(""))).success();
    let by_other = accounts.run(Consumer, &verify(&accounts, "first").replace("provider.pem", "other.pem"));
    assert_eq!(by_other.code, NOT_VERIFIED, "{}", by_other.stderr);
    let measured = accounts.run(Consumer, &format!("{} --measurements other.json", verify(&accounts, "first")));
    assert_eq!(measured.code, NOT_VERIFIED);
    assert!(measured.stderr.contains("your measurements: PCR0"), "{}", measured.stderr);
    let own = accounts.run(Consumer, &format!("{} --policy other.toml", verify(&accounts, "first")));
    assert_eq!(own.code, NOT_VERIFIED);

    // Somebody in the consumer's account puts another image in its place.
    let to = format!("docker://{}/cloister:planted", from.host());
    let plant = ["copy", "--dest-creds", creds, "--dest-cert-dir", &trust, "oci-archive:other.tar", &to];
    accounts.skopeo(&plant).success();
    let planted = accounts.run(Consumer, &format!("{} --json", verify(&accounts, "planted")));
    assert_eq!(planted.code, NOT_VERIFIED);
    let checks: Value = serde_json::from_str(&planted.stdout).unwrap();
    let bad = checks["checks"].as_array().unwrap().iter().filter(|check| check["passed"] == false).count();
    assert_eq!(bad, 3, "neither signature nor attachments: {checks}");

    // A tag cannot be moved.
    let taken = publish(&accounts, "other").replace("--tag other", "--tag first");
    let taken = accounts.run(Provider, &taken);
    assert_eq!(taken.code, INPUT);
    assert!(taken.stderr.contains("cannot be moved"), "{}", taken.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_on_aws_is_waited_out_or_said() {
    let (accounts, key) = set_up().await;
    // Throttling is waited out, expired credentials are not.
    accounts.ecr.fault("DescribeRepositories", 2, Fault::Throttling);
    accounts.unchanged(Provider, "provider init");
    accounts.ecr.fault("DescribeRepositories", 1, Fault::ExpiredToken);
    let expired = accounts.run(Provider, "provider init");
    assert_eq!(expired.code, UNAVAILABLE);
    assert!(expired.stderr.contains("have expired. Log in again"), "{}", expired.stderr);

    // Another account's credentials; none at all; no region.
    let other = accounts.run(Consumer, &format!("provider init --account {PROVIDER}"));
    assert_eq!(other.code, NOT_VERIFIED);
    assert!(other.stderr.contains("nothing was changed"), "{}", other.stderr);
    let mut nobody = Command::new(binary("cloister"));
    nobody.args(["provider", "init", "--ca", "aws-ca.pem"]).current_dir(accounts.path("")).env_clear();
    let nobody = run(nobody.env("AWS_EC2_METADATA_DISABLED", "true"));
    assert_eq!(nobody.code, USAGE);
    assert!(nobody.stderr.contains("no region"), "{}", nobody.stderr);
    let mut nobody = Command::new(binary("cloister"));
    nobody
        .args(["provider", "init", "--region", "us-east-1", "--ca", "aws-ca.pem"])
        .current_dir(accounts.path(""))
        .env_clear();
    let nobody = run(nobody.env("AWS_EC2_METADATA_DISABLED", "true"));
    assert_eq!(nobody.code, UNAVAILABLE);
    assert!(nobody.stderr.contains("no AWS credentials: set AWS_PROFILE"), "{}", nobody.stderr);

    // Measurements of a debug image, a key that is open, a repository whose name begins like another's.
    let zeros = "0".repeat(96);
    accounts.write("debug.json", json!({"Measurements": {"PCR0": zeros, "PCR1": zeros, "PCR2": zeros}}).to_string());
    let allow =
        format!("provider policy --consumer {CONSUMER}:cloister-parent --model screening --apply --measurements");
    let debug = accounts.run(Provider, &format!("{allow} debug.json"));
    assert_eq!(debug.code, INPUT);
    assert!(debug.stderr.contains("debug mode"), "{}", debug.stderr);
    let open = json!({"Version": "2012-10-17", "Statement": [{"Sid": "default", "Effect": "Allow", "Resource": "*",
        "Principal": {"AWS": format!("arn:aws:iam::{PROVIDER}:root")}, "Action": "kms:*"}]});
    accounts.write(
        "good.json",
        json!({"Measurements": {"PCR0": "ab".repeat(48), "PCR1": zeros, "PCR2": zeros}}).to_string(),
    );
    accounts.put_key_policy(Provider, &key, &open.to_string());
    let warned = accounts.json(Provider, &format!("{allow} good.json"));
    let warnings = warned["warnings"].to_string();
    assert!(warnings.contains("default") && warnings.contains("without any enclave"), "{warnings}");
    accounts.json(Provider, "provider init --repository cloister-internal");
    let shared = accounts.json(Provider, &format!("provider share --consumer {CONSUMER}"));
    assert!(shared["warnings"].to_string().contains("cloister-internal"), "{shared}");

    // A copy that failed.
    let package = accounts.package();
    accounts.build("first", &package);
    accounts.json(Provider, &publish(&accounts, "first"));
    accounts.ecr.set_replication(CONSUMER, State::Failed("REPLICATION_CONFIGURATION_ERROR".to_owned()));
    let failed = accounts.run(Provider, "provider status --tag first --wait");
    assert_eq!(failed.code, UNAVAILABLE);
    assert!(failed.stderr.contains("consumer accept"), "{}", failed.stderr);
    accounts.json(Provider, &format!("provider unshare --consumer {CONSUMER}"));
    let nowhere = accounts.run(Provider, "provider status --tag first --wait");
    assert_eq!(nowhere.code, UNAVAILABLE);
    assert!(nowhere.stderr.contains("copied nowhere"), "{}", nowhere.stderr);
    let missing = accounts.run(Provider, "provider status --tag nothing");
    assert_eq!(missing.code, INPUT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_key_opens_for_its_owner_and_for_the_enclaves_of_a_policy() {
    let (accounts, key) = set_up().await;
    let package = accounts.package();
    accounts.build("first", &package);
    accounts.build("second", &package);
    let owner = format!("arn:aws:iam::{CONSUMER}:role/radiology");
    let init = |policy: &str| {
        format!("consumer init --model-key {key} --pod-identity --data-owner {owner} --policy {policy}.toml")
    };
    let made = accounts.json(Consumer, &init("first"));
    assert!(made["changes"].as_array().unwrap().len() >= 2, "{made}");
    accounts.unchanged(Consumer, &init("first"));
    let data_key = accounts.json(Consumer, &init("first"))["data_key"].as_str().unwrap().to_owned();
    let of = |name: &str| hex::encode(accounts.measured(name)[&0]);
    let policy = accounts.key_policy(Consumer, &data_key);
    assert!(
        policy.contains(&of("first")) && policy.contains("kms:RecipientAttestation:PCR16") && policy.contains(&owner)
    );
    assert!(!policy.contains(&format!("{PROVIDER}:")), "{policy}");
    // Another policy file: its image, and no longer the first.
    accounts.json(Consumer, &init("second"));
    // Another owner in the first one's place, and another door for the pods.
    let other = init("second")
        .replace("radiology", "mammography")
        .replace("--pod-identity", "--oidc-issuer https://oidc.example/id/A");
    let changed = accounts.json(Consumer, &other)["changes"].to_string();
    assert!(changed.contains("oidc.example"), "{changed}");
    assert!(!accounts.key_policy(Consumer, &data_key).contains("radiology"));
    accounts.unchanged(Consumer, &other);
    accounts.json(Consumer, &init("second"));
    let policy = accounts.key_policy(Consumer, &data_key);
    assert!(policy.contains(&of("second")) && !policy.contains(&of("first")), "{policy}");
    accounts.unchanged(Consumer, &init("second"));
}
