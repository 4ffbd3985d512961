#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn attested(pcr0: u8) -> Attested {
    Attested {
        consumer: "444455556666:cloister-parent".parse().unwrap(),
        pcrs: Pcrs::from([(0, [pcr0; 48]), (8, [8; 48])]),
        context: BTreeMap::from([(context::MODEL.to_owned(), "screening".to_owned())]),
        purpose: Purpose::Model,
    }
}

fn key_policy() -> Value {
    administered(&"111122223333".parse().unwrap(), &[])
}

#[test]
fn what_is_written_opens_for_measured_enclaves_alone() {
    let policy = with(&key_policy(), &attested(1).to_statement(), "the key").unwrap();
    cloister_kms::audit::audit(&policy.to_string()).unwrap();
    let statement = &statements(&policy, "").unwrap()[1];
    assert_eq!(statement["Principal"]["AWS"], "arn:aws:iam::444455556666:role/cloister-parent");
    assert_eq!(statement["Action"], "kms:Decrypt");
    let condition = &statement["Condition"];
    assert_eq!(condition["StringEqualsIgnoreCase"]["kms:RecipientAttestation:PCR0"], "01".repeat(48));
    assert_eq!(condition["StringEqualsIgnoreCase"]["kms:RecipientAttestation:PCR8"], "08".repeat(48));
    assert_eq!(condition["StringEquals"]["kms:EncryptionContext:cloister:purpose"], "model");
    assert_eq!(condition["StringEquals"]["kms:EncryptionContext:cloister:model"], "screening");
}

#[test]
fn a_second_image_is_let_in_beside_the_first_and_the_first_is_taken_out_alone() {
    let first = with(&key_policy(), &attested(1).to_statement(), "").unwrap();
    assert_eq!(with(&first, &attested(1).to_statement(), "").unwrap(), first, "twice is once");
    let both = with(&first, &attested(2).to_statement(), "").unwrap();
    assert_eq!(statements(&both, "").unwrap().len(), 3);
    let second = without(&both, &attested(1).to_statement()["Sid"], "").unwrap();
    assert_eq!(second, with(&key_policy(), &attested(2).to_statement(), "").unwrap());
    assert_eq!(without(&second, &attested(1).to_statement()["Sid"], "").unwrap(), second);
}

#[test]
fn an_image_is_withdrawn_from_one_consumer_or_from_all() {
    let mut policy = with(&key_policy(), &attested(1).to_statement(), "").unwrap();
    let other = Attested { consumer: "777788889999".parse().unwrap(), ..attested(1) };
    policy = with(&policy, &other.to_statement(), "").unwrap();
    policy = with(&policy, &attested(2).to_statement(), "").unwrap();
    let count = |policy: &Value| statements(policy, "").unwrap().len();
    let one = without_image(&policy, &attested(1).pcrs, Some(&other.consumer), "").unwrap();
    assert_eq!(count(&one), 3);
    assert_eq!(count(&without_image(&policy, &attested(1).pcrs, None, "").unwrap()), 2);
    assert_eq!(without_openings(&policy, "").unwrap(), key_policy());
    assert!(without_image(&policy, &Pcrs::new(), None, "").is_err());
}

#[test]
fn what_others_wrote_stays() {
    let theirs = json!({"Version": "2008-10-17", "Id": "theirs", "Statement": {"Sid": "a", "Effect": "Deny", "Principal": "*",
        "Action": "kms:Decrypt", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}});
    let ours = with(&theirs, &attested(1).to_statement(), "").unwrap();
    assert_eq!(ours["Id"], "theirs");
    assert_eq!(ours["Version"], "2008-10-17");
    assert_eq!(statements(&ours, "").unwrap()[0], theirs["Statement"]);
}

#[test]
fn debug_images_and_registers_that_come_too_late_are_refused() {
    assert!(attested(1).check().is_ok());
    assert!(attested(0).check().unwrap_err().to_string().contains("debug mode"));
    for late in [16, 17] {
        let mut late_one = attested(1);
        late_one.pcrs.insert(late, [1; 48]);
        assert!(late_one.check().unwrap_err().to_string().contains("after it has"), "{late}");
        late_one.purpose = Purpose::Image;
        late_one.check().unwrap();
    }
    let mut none = attested(1);
    none.pcrs.remove(&0);
    assert!(none.check().is_err());
}

#[test]
fn every_statement_that_opens_without_an_enclave_is_named() {
    let mut policy = with(&key_policy(), &attested(1).to_statement(), "").unwrap();
    assert!(warnings(&policy).is_empty());
    for who in ["arn:aws:iam::111122223333:role/a", "arn:aws:iam::111122223333:role/b"] {
        policy = with(&policy, &users(who, &["kms:Decrypt"], None), "").unwrap();
    }
    let said = warnings(&policy);
    assert_eq!(said.len(), 2);
    assert!(said[0].contains("role/a") && said[1].contains("role/b"), "{said:?}");
}

#[test]
fn grants_are_warned_of() {
    let policy = with(&key_policy(), &users("arn:aws:iam::111122223333:role/a", &["kms:Create*"], None), "").unwrap();
    let said = warnings(&policy);
    assert!(said.len() == 1 && said[0].contains("kms:CreateGrant"), "{said:?}");
}

#[test]
fn a_role_that_is_gone_is_taken_out() {
    let mut policy = with(&key_policy(), &attested(1).to_statement(), "").unwrap();
    policy["Statement"][1]["Principal"]["AWS"] = "AROAEXAMPLEEXAMPLE".into();
    let (kept, gone) = without_gone(&policy, "").unwrap();
    assert_eq!(kept, key_policy());
    assert_eq!(gone.len(), 1);
    assert!(without_gone(&kept, "").unwrap().1.is_empty());
}

#[test]
fn doors_that_are_not_wanted_are_closed_and_those_of_others_stay_open() {
    let door = |sid: &str| json!({"Sid": sid, "Effect": "Allow"});
    let policy = json!({"Statement": [door("CloisterIrsa1"), door("CloisterPodIdentity"), door("theirs")]});
    let left = without_doors(&policy, &[door("CloisterIrsa1")], "").unwrap();
    assert_eq!(left, json!({"Statement": [door("CloisterIrsa1"), door("theirs")]}));
}

#[test]
fn lists_of_one_are_that_one() {
    let policy = with(&key_policy(), &attested(1).to_statement(), "").unwrap();
    let mut listed = policy.clone();
    listed["Statement"][1]["Action"] = json!(["kms:Decrypt"]);
    assert_eq!(with(&listed, &attested(1).to_statement(), "").unwrap(), listed, "nothing to change");
    assert!(difference(&policy, &listed).is_empty());
}

#[test]
fn a_difference_shows_what_goes_and_what_comes() {
    let before = with(&key_policy(), &attested(1).to_statement(), "").unwrap();
    let after = with(&key_policy(), &attested(2).to_statement(), "").unwrap();
    let lines = difference(&before, &after);
    assert!(lines.iter().any(|line| line.starts_with('-') && line.contains(&"01".repeat(48))));
    assert!(lines.iter().any(|line| line.starts_with('+') && line.contains(&"02".repeat(48))));
    assert!(!lines.iter().any(|line| line.contains("CloisterAdministration")));
    assert!(difference(&after, &after).is_empty());
}

#[test]
fn what_is_no_policy_and_what_is_too_long_is_refused() {
    for wrong in [json!(null), json!([]), json!({}), json!({"Statement": "all"}), json!({"Statement": [1]})] {
        assert!(matches!(with(&wrong, &attested(1).to_statement(), "x"), Err(Error::Policy { .. })), "{wrong}");
    }
    let mut long = key_policy();
    long["Id"] = "x".repeat(KEY_POLICY_BYTES).into();
    assert!(matches!(with(&long, &attested(1).to_statement(), "x"), Err(Error::TooMany { .. })));
}
