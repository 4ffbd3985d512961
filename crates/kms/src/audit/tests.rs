use serde_json::json;

use super::*;

const ROLE: &str = "arn:aws:iam::444455556666:role/cloister-parent";

fn measurement() -> String {
    "ab".repeat(48)
}

fn statement(effect: &str, action: &Value, condition: &Value) -> Value {
    json!({"Sid": "release", "Effect": effect, "Principal": {"AWS": ROLE}, "Action": action, "Resource": "*", "Condition": condition})
}

fn audited(statements: &Value) -> Result<(), PolicyFinding> {
    audit(&json!({"Version": "2012-10-17", "Statement": statements}).to_string())
}

fn under(condition: &Value) -> Result<(), PolicyFinding> {
    audited(&json!([statement("Allow", &json!("kms:Decrypt"), condition)]))
}

#[test]
fn a_decrypt_that_demands_the_image_is_good() {
    for key in [CONDITION, CONDITION_PCR0, "KMS:recipientattestation:PCR0"] {
        for operator in ["StringEquals", "StringEqualsIgnoreCase", "StringLike", "ForAnyValue:StringEquals"] {
            under(&json!({operator: {key: measurement()}})).unwrap();
            under(&json!({operator: {key: [measurement(), "CD".repeat(48)]}})).unwrap();
        }
    }
}

#[test]
fn a_decrypt_without_the_condition_is_found_and_the_condition_named() {
    let finding = under(&json!({"StringEquals": {"kms:EncryptionContext:cloister:purpose": "model"}})).unwrap_err();
    let expected = PolicyFinding::Unattested {
        statement: "statement \"release\"".into(),
        principal: ROLE.into(),
        action: "kms:Decrypt",
    };
    assert_eq!(finding, expected);
    let words = finding.to_string();
    assert!(
        words.contains("kms:RecipientAttestation:ImageSha384") && words.contains("kms:Decrypt") && words.contains(ROLE)
    );
}

#[test]
fn the_policy_that_kms_gives_a_key_by_default_is_found() {
    let root = json!({"Sid": "Enable IAM User Permissions", "Effect": "Allow", "Resource": "*", "Action": "kms:*",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"}});
    let good = statement("Allow", &json!("kms:Decrypt"), &json!({"StringEquals": {CONDITION: measurement()}}));
    let finding = audited(&json!([good, root])).unwrap_err();
    assert!(
        matches!(&finding, PolicyFinding::Unattested { statement, .. } if statement.contains("Enable IAM User Permissions"))
    );
}

#[test]
fn every_way_to_say_decrypt_is_seen() {
    for action in [
        "kms:Decrypt",
        "KMS:decrypt",
        "kms:*",
        "*",
        "kms:De*",
        "kms:Decryp?",
        "kms:*crypt",
        "kms:*e*r*t",
        "kms:ReEncrypt*",
        "kms:ReEncryptFrom",
    ] {
        assert!(audited(&statement("Allow", &json!(action), &json!({}))).is_err(), "{action}");
        assert!(audited(&statement("Allow", &json!(["kms:Encrypt", action]), &json!({}))).is_err(), "{action}");
    }
    for action in [
        "kms:Encrypt",
        "kms:GenerateDataKey*",
        "kms:Describe*",
        "kms:ReEncryptTo",
        "kms:Decryptx",
        "kms:ecrypt",
        "s3:*",
        "",
    ] {
        audited(&statement("Allow", &json!(action), &json!({}))).unwrap();
    }
}

#[test]
fn an_allow_of_all_but_something_else_is_seen() {
    let all_but = |action: &str| json!({"Effect": "Allow", "Principal": "*", "NotAction": action, "Resource": "*"});
    assert!(audited(&all_but("kms:Encrypt")).is_err());
    // All but Decrypt still lets the key be wrapped anew.
    assert!(matches!(
        audited(&all_but("kms:Decrypt")),
        Err(PolicyFinding::Unattested { action: "kms:ReEncryptFrom", .. })
    ));
    audited(&all_but("kms:*")).unwrap();
}

#[test]
fn a_condition_that_holds_without_a_measurement_is_found() {
    for operator in [
        "StringEqualsIfExists",
        "StringEqualsIgnoreCaseIfExists",
        "ForAllValues:StringEquals",
        "StringNotEquals",
        "StringNotLike",
        "Null",
        "Bool",
        "ArnLike",
        "stringequals",
    ] {
        let finding = under(&json!({operator: {CONDITION: measurement()}})).unwrap_err();
        assert!(
            matches!(&finding, PolicyFinding::DoesNotBind { reason, .. } if reason.contains(operator)),
            "{finding}"
        );
    }
}

#[test]
fn a_condition_for_any_measurement_or_for_debug_mode_is_found() {
    for value in [
        json!("*"),
        json!(""),
        json!([]),
        json!("ab".repeat(47)),
        json!(format!("{}*", "ab".repeat(47))),
        json!("0".repeat(96)),
        json!([measurement(), "0".repeat(96)]),
        json!("xy".repeat(48)),
    ] {
        let finding = under(&json!({"StringLike": {CONDITION: value}})).unwrap_err();
        assert!(matches!(finding, PolicyFinding::DoesNotBind { .. }), "{value}");
    }
}

#[test]
fn a_measurement_of_something_less_than_the_image_is_not_enough() {
    for key in [
        "kms:RecipientAttestation:PCR1",
        "kms:RecipientAttestation:PCR3",
        "kms:RecipientAttestation:PCR8",
        "kms:RecipientAttestation",
    ] {
        assert!(under(&json!({"StringEquals": {key: measurement()}})).is_err(), "{key}");
    }
}

#[test]
fn a_second_condition_does_not_weaken_a_good_one() {
    under(
        &json!({"StringEqualsIfExists": {CONDITION: measurement()}, "StringEquals": {CONDITION_PCR0: measurement()}}),
    )
    .unwrap();
}

#[test]
fn a_deny_of_every_other_measurement_guards_all_allows() {
    let open = statement("Allow", &json!("kms:*"), &json!({}));
    let deny = |change: &dyn Fn(&mut Value)| {
        let mut deny = json!({"Effect": "Deny", "Principal": "*", "Action": ["kms:Decrypt", "kms:ReEncrypt*"], "Resource": "*",
            "Condition": {"StringNotEqualsIgnoreCase": {CONDITION: measurement()}}});
        change(&mut deny);
        audited(&json!([open, deny]))
    };
    deny(&|_| {}).unwrap();
    deny(&|deny| deny["Principal"] = json!({"AWS": "*"})).unwrap();
    assert!(deny(&|deny| deny["Principal"] = json!({"AWS": ROLE})).is_err());
    assert!(deny(&|deny| deny["Action"] = json!("kms:Decrypt")).is_err());
    assert!(deny(&|deny| deny["Resource"] = json!("arn:aws:kms:us-east-1:111122223333:key/other")).is_err());
    assert!(deny(&|deny| deny["Effect"] = json!("Allow")).is_err());
    assert!(deny(&|deny| deny["Condition"]["StringEquals"] = json!({"kms:CallerAccount": "1"})).is_err());
    assert!(deny(&|deny| deny["Condition"] = json!({"StringEquals": {CONDITION: measurement()}})).is_err());
    assert!(deny(&|deny| deny["Condition"] = json!({"Null": {CONDITION: "true"}})).is_err());
    assert!(deny(&|deny| deny["Condition"] = json!({"StringNotEquals": {CONDITION: "0".repeat(96)}})).is_err());
}

#[test]
fn a_policy_that_cannot_be_read_is_found() {
    for policy in ["", "{}", "[]", "null", r#"{"Statement": 1}"#, r#"{"Statement": ["Allow"]}"#] {
        assert!(matches!(audit(policy), Err(PolicyFinding::Unreadable(_))), "{policy}");
    }
    assert!(matches!(audit(&" ".repeat(32 * 1024 + 1)), Err(PolicyFinding::Unreadable(_))));
    // An element's name in another case is still that element.
    let shouted = json!({"STATEMENT": {"EFFECT": "Allow", "PRINCIPAL": "*", "ACTION": "kms:*", "RESOURCE": "*"}});
    assert!(matches!(audit(&shouted.to_string()), Err(PolicyFinding::Unattested { .. })));
}
