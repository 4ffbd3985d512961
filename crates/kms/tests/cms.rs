//! The reader of `CiphertextForRecipient`: real messages, our own, and hostile ones. A general reader (rasn) is the second opinion.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::sync::LazyLock;

use cloister_kms::cms::{Envelope, Error};
use cloister_kms::{RecipientKey, limits, open_cms};
use cloister_sim::kms::ContentForm;
use proptest::prelude::*;
use rasn::types::{OctetString, SetOf};
use rasn_cms::{ContentInfo, EnvelopedData, RecipientIdentifier, RecipientInfo};

const FORMS: [ContentForm; 3] = [ContentForm::OneChunk, ContentForm::SmallChunks, ContentForm::Primitive];
const SECRET: [u8; 32] = [0x42; 32];

/// RSA keys are slow to make: the tests share one.
static KEY: LazyLock<RecipientKey> = LazyLock::new(|| RecipientKey::generate().unwrap());

fn message(form: ContentForm) -> Vec<u8> {
    cloister_sim::kms::cms::seal(&SECRET, KEY.spki_der(), form).unwrap()
}

/// The two messages that AWS sent, each with its parts; none, and a word why, where the data is not at hand.
fn real_messages() -> Vec<(Vec<u8>, serde_json::Value)> {
    let Some(parts) = cloister_test_data::read("nitro/kms-cms-parts.json") else { return Vec::new() };
    let parts: serde_json::Value = serde_json::from_slice(&parts).unwrap();
    let read = |name: &str| (cloister_test_data::read(&format!("nitro/{name}.ber")).unwrap(), parts[name].clone());
    vec![read("kms-cms-1"), read("kms-cms-2")]
}

/// What rasn, which accepts far more, reads in a message.
fn second_opinion(message: &[u8]) -> Option<Envelope> {
    let info: ContentInfo = rasn::ber::decode(message).ok()?;
    let enveloped: EnvelopedData = rasn::ber::decode(info.content.as_bytes()).ok()?;
    let recipients: &SetOf<RecipientInfo> = &enveloped.recipient_infos;
    let Some(RecipientInfo::KeyTransRecipientInfo(recipient)) = recipients.to_vec().first().copied() else {
        return None;
    };
    let RecipientIdentifier::SubjectKeyIdentifier(identifier) = &recipient.rid else { return None };
    let content = enveloped.encrypted_content_info;
    let iv: OctetString = rasn::der::decode(content.content_encryption_algorithm.parameters?.as_bytes()).ok()?;
    Some(Envelope {
        key_identifier: identifier.to_vec().try_into().ok()?,
        encrypted_key: recipient.encrypted_key.to_vec().try_into().ok()?,
        iv: iv.to_vec().try_into().ok()?,
        ciphertext: content.encrypted_content?.to_vec(),
    })
}

fn flipped(message: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..message.len() * 8).map(|bit| {
        let mut changed = message.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, changed)
    })
}

#[test]
fn the_real_messages_have_the_parts_that_were_taken_from_them_otherwise() {
    for (message, parts) in real_messages() {
        let envelope = Envelope::read(&message).unwrap();
        assert_eq!(hex::encode(envelope.encrypted_key), parts["encrypted_key"]);
        assert_eq!(hex::encode(envelope.iv), parts["iv"]);
        assert_eq!(hex::encode(&envelope.ciphertext), parts["ciphertext"]);
        assert_eq!(Some(envelope), second_opinion(&message));
    }
}

#[test]
fn no_bit_of_a_real_message_can_be_flipped_without_notice() {
    for (message, _) in real_messages() {
        let envelope = Envelope::read(&message).unwrap();
        for (at, changed) in flipped(&message) {
            assert_ne!(Envelope::read(&changed).as_ref(), Ok(&envelope), "byte {at}");
        }
    }
}

#[test]
fn a_real_message_does_not_open_with_our_key() {
    for (message, _) in real_messages() {
        assert_eq!(open_cms(&message, &KEY).unwrap_err(), Error::DoesNotOpen);
    }
}

#[test]
fn what_the_simulator_sends_has_the_form_of_the_real_messages() {
    let [(first, _), (second, _)] = &real_messages()[..] else { return };
    for (real, form) in [(first, ContentForm::OneChunk), (second, ContentForm::Primitive)] {
        // Everything up to the key identifier, and from there to the wrapped key.
        let ours = message(form);
        assert_eq!(ours[..20], real[..20]);
        assert_eq!(ours[65..131], real[65..131]);
        assert_eq!(ours[387..415], real[387..415]);
    }
}

#[test]
fn every_form_opens_to_what_was_sealed() {
    for form in FORMS {
        let message = message(form);
        assert_eq!(open_cms(&message, &KEY).unwrap().as_slice(), SECRET, "{form:?}");
        assert_eq!(Envelope::read(&message).ok(), second_opinion(&message), "{form:?}");
    }
}

#[test]
fn contents_of_every_length_around_a_block_open() {
    for length in [1, 15, 16, 17, 47, 48, 1000] {
        let secret = vec![7; length];
        let message = cloister_sim::kms::cms::seal(&secret, KEY.spki_der(), ContentForm::SmallChunks).unwrap();
        assert_eq!(*open_cms(&message, &KEY).unwrap(), secret);
    }
}

#[test]
fn a_message_with_definite_lengths_opens_too() {
    let ber = message(ContentForm::Primitive);
    let info: ContentInfo = rasn::ber::decode(&ber).unwrap();
    let enveloped: EnvelopedData = rasn::ber::decode(info.content.as_bytes()).unwrap();
    let content = rasn::types::Any::new(rasn::der::encode(&enveloped).unwrap());
    let der = rasn::der::encode(&ContentInfo { content, ..info }).unwrap();
    assert_ne!(der, ber);
    assert_eq!(open_cms(&der, &KEY).unwrap().as_slice(), SECRET);
}

#[test]
fn a_message_for_another_key_does_not_open() {
    let other = RecipientKey::generate().unwrap();
    for form in FORMS {
        assert_eq!(open_cms(&message(form), &other).unwrap_err(), Error::DoesNotOpen);
    }
}

/// CBC is not authenticated, so a flipped bit may open: but never to the sealed bytes, unless it is one that carries no meaning.
#[test]
fn a_flipped_bit_never_opens_to_the_right_key() {
    for form in FORMS {
        let message = message(form);
        let whole = Envelope::read(&message).unwrap();
        // Where the key identifier lies, which nobody can check: the only bytes that may change without changing what opens.
        let identifier = message.windows(32).position(|window| window == whole.key_identifier).unwrap();
        // Every bit would take minutes of RSA: one a byte, each of the eight in turn.
        for (at, changed) in
            flipped(&message).enumerate().filter(|(n, (at, _))| n % 8 == at % 8).map(|(_, change)| change)
        {
            let opened = open_cms(&changed, &KEY);
            if !(identifier..identifier + 32).contains(&at) {
                assert!(
                    opened.is_err() || opened.is_ok_and(|opened| opened.as_slice() != SECRET),
                    "byte {at} of {form:?}"
                );
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_the_wrapped_key_never_opens() {
    let message = message(ContentForm::OneChunk);
    let wrapped = Envelope::read(&message).unwrap().encrypted_key;
    let start = message.windows(256).position(|window| window == wrapped).unwrap();
    for at in (start..start + 256).step_by(5) {
        let mut changed = message.clone();
        changed[at] ^= 0x10;
        assert_eq!(open_cms(&changed, &KEY).unwrap_err(), Error::DoesNotOpen);
    }
}

#[test]
fn each_departure_from_the_one_shape_has_its_own_error() {
    let whole = message(ContentForm::OneChunk);
    let replaced = |from: &[u8], to: &[u8]| {
        let at = whole.windows(from.len()).position(|window| window == from).unwrap();
        let changed = [&whole[..at], to, &whole[at + from.len()..]].concat();
        Envelope::read(&changed).unwrap_err()
    };
    // signedData; version 0; two versions; RSA PKCS#1 v1.5; AES-128-CBC; AES-256-GCM; issuer and serial number.
    assert_eq!(replaced(&[0xf7, 0x0d, 1, 7, 3], &[0xf7, 0x0d, 1, 7, 2]), Error::WrongContentType);
    assert_eq!(replaced(&[0x30, 0x80, 2, 1, 2], &[0x30, 0x80, 2, 1, 0]), Error::WrongVersion);
    assert_eq!(replaced(&[2, 1, 2, 0x80, 0x20], &[2, 1, 0, 0x80, 0x20]), Error::WrongVersion);
    assert_eq!(replaced(&[0xf7, 0x0d, 1, 1, 7], &[0xf7, 0x0d, 1, 1, 1]), Error::WrongKeyEncryption);
    assert_eq!(replaced(&[1, 0x65, 3, 4, 2, 1], &[1, 0x65, 3, 4, 2, 2]), Error::WrongKeyEncryption);
    assert_eq!(replaced(&[0x65, 3, 4, 1, 42], &[0x65, 3, 4, 1, 2]), Error::WrongContentEncryption);
    assert_eq!(replaced(&[0x65, 3, 4, 1, 42], &[0x65, 3, 4, 1, 46]), Error::WrongContentEncryption);
    assert_eq!(replaced(&[0x80, 0x20], &[0xa0, 0x20]), Error::WrongRecipientIdentifier);
    // Two bytes may stand anywhere in what is random: the chunk is where it is, before its content and the ends.
    let chunk = whole.len() - 10 - 50;
    assert_eq!(whole[chunk..chunk + 2], [0x04, 0x30]);
    let mut shorter = whole.clone();
    shorter[chunk + 1] = 0x2f;
    // What is a chunk's last byte stands where the next one begins, and could be random's word for one.
    shorter[chunk + 1 + 0x30] = 0x05;
    assert_eq!(Envelope::read(&shorter), Err(Error::Unexpected { what: "a chunk of encryptedContent" }));
    assert_eq!(Envelope::read(&[&whole[..], &[0]].concat()), Err(Error::TrailingBytes));
    assert_eq!(Envelope::read(&whole[..whole.len() - 1]), Err(Error::Truncated));
    assert_eq!(Envelope::read(&[]), Err(Error::Truncated));
    assert_eq!(Envelope::read(&vec![0x30; 6145]), Err(Error::TooLong(6145)));
}

#[test]
fn a_message_with_no_recipient_or_with_two_is_refused() {
    let whole = message(ContentForm::Primitive);
    // SET at byte 20 with a two-byte length, its one recipient from 24 to 387.
    assert_eq!(whole[20..24], [0x31, 0x82, 0x01, 0x6b]);
    let recipient = &whole[24..387];
    let none = [&whole[..20], &[0x31, 0x00], &whole[387..]].concat();
    let two = [&whole[..20], &[0x31, 0x82, 0x02, 0xd6], recipient, recipient, &whole[387..]].concat();
    let two_indefinite = [&whole[..20], &[0x31, 0x80], recipient, recipient, &[0, 0], &whole[387..]].concat();
    assert_eq!(Envelope::read(&none), Err(Error::NotOneRecipient));
    assert_eq!(Envelope::read(&two), Err(Error::NotOneRecipient));
    assert_eq!(Envelope::read(&two_indefinite), Err(Error::NotOneRecipient));
}

#[test]
fn lengths_in_another_form_than_the_shortest_are_refused() {
    let whole = message(ContentForm::Primitive);
    let longer = |prefix: usize, to: &[u8]| Envelope::read(&[&whole[..prefix], to, &whole[prefix + 1..]].concat());
    // The content type's length, 9, in two bytes, in three, and indefinite.
    assert_eq!(whole[3], 9);
    assert_eq!(longer(3, &[0x81, 9]), Err(Error::BadLength));
    assert_eq!(longer(3, &[0x82, 0, 9]), Err(Error::BadLength));
    assert_eq!(longer(3, &[0x80]), Err(Error::BadLength));
    assert_eq!(longer(3, &[0x88, 0, 0, 0, 0, 0, 0, 0, 9]), Err(Error::BadLength));
    assert_eq!(longer(3, &[0xff]), Err(Error::BadLength));
}

#[test]
fn a_ciphertext_that_is_not_whole_blocks_is_refused() {
    let whole = message(ContentForm::Primitive);
    let at = whole.len() - 8 - 48 - 2;
    assert_eq!(whole[at..at + 2], [0x80, 48]);
    let with = |content: &[u8]| Envelope::read(&[&whole[..at], content, &whole[whole.len() - 8..]].concat());
    assert_eq!(with(&[0x80, 0]), Err(Error::WrongCiphertextLength(0)));
    assert_eq!(with(&[0x80, 2, 1, 2]), Err(Error::WrongCiphertextLength(2)));
    assert_eq!(with(&[0xa0, 0x80, 0, 0]), Err(Error::WrongCiphertextLength(0)));
    assert_eq!(with(&[0xa0, 0x80, 4, 0, 0, 0]), Err(Error::WrongCiphertextLength(0)));
}

#[test]
fn hostile_nesting_is_refused_without_descending() {
    let limit = limits::MAX_CIPHERTEXT_BYTES;
    let nested = |unit: &[u8]| unit.iter().copied().cycle().take(limit).collect::<Vec<u8>>();
    let whole = message(ContentForm::OneChunk);
    // Where the first chunk of the content starts.
    let start = whole.len() - 10 - 50;
    assert_eq!(whole[start..start + 2], [0x04, 0x30]);
    for unit in [&[0x30, 0x80][..], &[0xa0, 0x80], &[0x24, 0x80], &[0x31, 0x80, 0x30, 0x80]] {
        assert!(matches!(Envelope::read(&nested(unit)), Err(Error::Unexpected { .. })));
        let inside: Vec<u8> = [&whole[..start], &nested(unit)].concat().into_iter().take(limit).collect();
        assert!(matches!(Envelope::read(&inside), Err(Error::Unexpected { .. })));
    }
}

#[test]
fn the_public_key_is_an_rsa_2048_subject_public_key_info() {
    let spki = KEY.spki_der();
    // 2048 bits, exponent 65537: 294 bytes that start with the AlgorithmIdentifier of rsaEncryption (RFC 3279, 2.3.1).
    assert_eq!(spki.len(), 294);
    assert_eq!(hex::encode(&spki[..24]), "30820122300d06092a864886f70d01010105000382010f00");
}

proptest! {
    #[test]
    fn reading_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        let _ = Envelope::read(&bytes);
    }

    #[test]
    fn what_is_read_from_a_changed_message_is_what_the_second_opinion_reads(
        form in proptest::sample::select(&FORMS),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut changed = message(form);
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        if let Some(cut) = cut {
            changed.truncate(cut.index(changed.len()));
        }
        if let Ok(envelope) = Envelope::read(&changed) {
            prop_assert_eq!(Some(envelope), second_opinion(&changed));
        }
    }
}
