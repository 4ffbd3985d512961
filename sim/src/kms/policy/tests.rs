use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::kms::principal::Principals;

const MEASURED: [u8; 48] = [0xab; 48];

fn owner() -> Principal {
    Principals::demo().get("CLOISTERSIMMODELOWNER").unwrap().clone()
}

fn parent() -> Principal {
    Principals::demo().get("CLOISTERSIMPARENT").unwrap().clone()
}

fn keys() -> RequestKeys {
    RequestKeys::new(&owner().arn, owner().account())
}

fn attested() -> RequestKeys {
    keys().with_attestation(&BTreeMap::from([(0, MEASURED.to_vec()), (1, vec![1; 48])]))
}

fn policy(statements: &Value) -> Policy {
    Policy::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string()).unwrap()
}

fn allow(condition: &Value) -> Policy {
    policy(&json!([statement("Allow", condition)]))
}

fn statement(effect: &str, condition: &Value) -> Value {
    json!({"Effect": effect, "Principal": "*", "Action": "kms:Decrypt", "Resource": "*", "Condition": condition})
}

fn verdict(policy: &Policy, keys: &RequestKeys) -> Verdict {
    policy.evaluate(&owner(), "kms:Decrypt", keys)
}

fn refusal(statement: &Value) -> String {
    let text = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    let exception = Policy::parse(&text).unwrap_err();
    assert_eq!(exception.name(), "MalformedPolicyDocumentException");
    exception.message().to_owned()
}

#[test]
fn a_measurement_condition_holds_only_for_that_measurement_and_never_without_a_recipient() {
    let measured = hex::encode(MEASURED);
    for key in
        ["kms:RecipientAttestation:ImageSha384", "kms:RecipientAttestation:PCR0", "KMS:recipientattestation:pcr0"]
    {
        let policy = allow(&json!({"StringEquals": {key: measured}}));
        assert_eq!(verdict(&policy, &attested()), Verdict::Allowed, "{key}");
        assert_eq!(verdict(&policy, &keys()), Verdict::Silent, "{key}");
    }
    let other = allow(&json!({"StringEquals": {"kms:RecipientAttestation:PCR1": measured}}));
    assert_eq!(verdict(&other, &attested()), Verdict::Silent);
}

#[test]
fn only_the_case_insensitive_operator_takes_an_upper_case_measurement() {
    let measured = hex::encode_upper(MEASURED);
    let key = "kms:RecipientAttestation:ImageSha384";
    assert_eq!(verdict(&allow(&json!({"StringEquals": {key: measured}})), &attested()), Verdict::Silent);
    assert_eq!(verdict(&allow(&json!({"StringEqualsIgnoreCase": {key: measured}})), &attested()), Verdict::Allowed);
}

#[test]
fn the_image_hash_is_pcr0_and_no_other() {
    let only_pcr1 = keys().with_attestation(&BTreeMap::from([(1, MEASURED.to_vec())]));
    let policy = allow(&json!({"Null": {"kms:RecipientAttestation:ImageSha384": "false"}}));
    assert_eq!(verdict(&policy, &attested()), Verdict::Allowed);
    assert_eq!(verdict(&policy, &only_pcr1), Verdict::Silent);
}

#[test]
fn a_deny_wins_over_every_allow() {
    let guarded = policy(&json!([
        statement("Allow", &json!({})),
        statement("Deny", &json!({"Null": {"kms:RecipientAttestation:ImageSha384": "true"}})),
    ]));
    assert_eq!(verdict(&guarded, &keys()), Verdict::Denied);
    assert_eq!(verdict(&guarded, &attested()), Verdict::Allowed);
}

#[test]
fn a_negated_operator_holds_when_its_key_is_absent() {
    let deny_others = policy(&json!([
        statement("Allow", &json!({})),
        statement("Deny", &json!({"StringNotEquals": {"kms:RecipientAttestation:PCR0": hex::encode(MEASURED)}})),
    ]));
    assert_eq!(verdict(&deny_others, &keys()), Verdict::Denied);
    assert_eq!(verdict(&deny_others, &attested()), Verdict::Allowed);
}

#[test]
fn an_if_exists_condition_holds_without_a_recipient() {
    let policy = allow(&json!({"StringEqualsIfExists": {"kms:RecipientAttestation:PCR0": "00"}}));
    assert_eq!(verdict(&policy, &keys()), Verdict::Allowed);
    assert_eq!(verdict(&policy, &attested()), Verdict::Silent);
}

#[test]
fn every_condition_of_a_statement_must_hold_and_one_value_of_each_is_enough() {
    let policy = allow(&json!({
        "StringEquals": {"kms:EncryptionContext:purpose": ["model", "image"], "kms:CallerAccount": "111122223333"},
        "StringLike": {"kms:EncryptionContext:version": "1.*"},
    }));
    let with = |pairs: &[(&str, &str)]| {
        keys().with_context(&pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    };
    assert_eq!(verdict(&policy, &with(&[("Purpose", "image"), ("version", "1.2")])), Verdict::Allowed);
    assert_eq!(verdict(&policy, &with(&[("purpose", "Image"), ("version", "1.2")])), Verdict::Silent);
    assert_eq!(verdict(&policy, &with(&[("purpose", "image"), ("version", "2.1")])), Verdict::Silent);
    assert_eq!(verdict(&policy, &with(&[("purpose", "image")])), Verdict::Silent);
}

#[test]
fn context_keys_are_compared_as_a_set() {
    let with =
        |names: &[&str]| keys().with_context(&names.iter().map(|name| (name.to_string(), String::new())).collect());
    let all = allow(&json!({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a", "b"]}}));
    let any = allow(&json!({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["a", "b"]}}));
    for (names, all_hold, any_holds) in [
        (&[][..], Verdict::Allowed, Verdict::Silent),
        (&["a"], Verdict::Allowed, Verdict::Allowed),
        (&["a", "c"], Verdict::Silent, Verdict::Allowed),
        (&["c"], Verdict::Silent, Verdict::Silent),
    ] {
        assert_eq!(verdict(&all, &with(names)), all_hold, "{names:?}");
        assert_eq!(verdict(&any, &with(names)), any_holds, "{names:?}");
    }
}

#[test]
fn actions_match_with_wildcards_and_whatever_their_case() {
    for (pattern, expected) in [
        ("kms:*", true),
        ("*", true),
        ("kms:decrypt", true),
        ("kms:D?crypt", true),
        ("kms:De*", true),
        ("kms:Encrypt", false),
    ] {
        let policy = policy(&json!([{"Effect": "Allow", "Principal": "*", "Action": pattern, "Resource": "*"}]));
        assert_eq!(verdict(&policy, &keys()) == Verdict::Allowed, expected, "{pattern}");
    }
}

#[test]
fn principals_are_an_account_a_role_or_a_session_of_the_role() {
    let named = |principal: &str| {
        let principal = json!({"AWS": principal});
        policy(&json!([{"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"}]))
    };
    for (name, owner_gets, parent_gets) in [
        ("arn:aws:iam::111122223333:root", Verdict::AllowedToAccount, Verdict::Silent),
        ("444455556666", Verdict::Silent, Verdict::AllowedToAccount),
        ("arn:aws:iam::111122223333:role/model-owner", Verdict::Allowed, Verdict::Silent),
        ("arn:aws:iam::111122223333:role/someone", Verdict::Silent, Verdict::Silent),
        ("arn:aws:iam::444455556666:role/cloister-parent", Verdict::Silent, Verdict::Allowed),
        ("arn:aws:sts::444455556666:assumed-role/cloister-parent/pod", Verdict::Silent, Verdict::Allowed),
        ("*", Verdict::Allowed, Verdict::Allowed),
    ] {
        assert_eq!(named(name).evaluate(&owner(), "kms:Decrypt", &keys()), owner_gets, "{name}");
        assert_eq!(named(name).evaluate(&parent(), "kms:Decrypt", &keys()), parent_gets, "{name}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    for (condition, named) in [
        (json!({"ArnEquals": {"aws:PrincipalArn": "x"}}), "ArnEquals"),
        (json!({"stringequals": {"aws:PrincipalArn": "x"}}), "stringequals"),
        (json!({"StringEquals": {"kms:RecipientAttestation": "x"}}), "kms:RecipientAttestation"),
        (json!({"StringEquals": {"kms:RecipientAttestation:PCR32": "x"}}), "PCR32"),
        (json!({"StringEquals": {"kms:RecipientAttestation:PCR00": "x"}}), "PCR00"),
        (json!({"StringEquals": {"kms:RecipientAttestation:PCR": "x"}}), "PCR"),
        (json!({"StringEquals": {"aws:SourceIp": "x"}}), "aws:SourceIp"),
        (json!({"StringEquals": {"kms:EncryptionContext:": "x"}}), "kms:EncryptionContext:"),
        (json!({"StringEquals": {"kms:CallerAccount": "${aws:username}"}}), "variables"),
        (json!({"Null": {"kms:CallerAccount": "yes"}}), "true or false"),
        (json!({"NullIfExists": {"kms:CallerAccount": "true"}}), "NullIfExists"),
        (json!({"StringEquals": {"kms:EncryptionContextKeys": "a"}}), "ForAnyValue"),
    ] {
        let message = refusal(&json!([statement("Allow", &condition)]));
        assert!(message.contains(named), "{condition}: {message}");
    }
}

#[test]
fn a_statement_of_another_form_is_refused_by_name() {
    let whole = json!({"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"});
    for (field, value, named) in [
        ("NotAction", json!("kms:*"), "NotAction"),
        ("NotPrincipal", json!("*"), "NotPrincipal"),
        ("Effect", json!("allow"), "Effect"),
        ("Principal", json!({"Service": "ec2.amazonaws.com"}), "Service"),
        ("Principal", json!({"AWS": "arn:aws:iam::111122223333:role/*"}), "role/*"),
        ("Principal", json!({"AWS": []}), "Principal.AWS"),
        ("Action", json!("s3:GetObject"), "s3:GetObject"),
        ("Resource", json!("arn:aws:kms:us-east-1:111122223333:key/1"), "Resource"),
    ] {
        let mut changed = whole.clone();
        changed[field] = value;
        let message = refusal(&json!([changed]));
        assert!(message.contains(named), "{field}: {message}");
    }
    assert!(Policy::parse(&json!({"Version": "2012-10-17", "Statement": whole}).to_string()).is_ok());
}
