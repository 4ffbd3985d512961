//! The simulated module behaves like the device: its locks, its limits, its error codes, and what its documents show.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA384, digest};
use cloister_nsm::{AttestRequest, Error, Nsm, limits};
use cloister_sim::nsm::{Authority, Error as SimError, Simulated, SimulatedNsm};

fn nsm() -> SimulatedNsm {
    SimulatedNsm::new(&Authority::ephemeral().unwrap(), Simulated::default()).unwrap()
}

fn documented_pcrs(nsm: &SimulatedNsm) -> BTreeMap<u16, Vec<u8>> {
    let document = nsm.attest(&AttestRequest::default()).unwrap();
    cloister_attest::parse(&document).unwrap().pcrs
}

#[test]
fn the_platforms_pcrs_are_locked_at_boot_and_yours_are_not() {
    let nsm = nsm();
    for index in 0..limits::PCRS {
        assert_eq!(nsm.describe_pcr(index).unwrap().locked, index < 16, "PCR{index}");
    }
    let description = nsm.describe().unwrap();
    assert_eq!(description.locked_pcrs, (0..16).collect::<BTreeSet<_>>());
    assert_eq!(description.max_pcrs, 32);
}

#[test]
fn extending_hashes_the_old_value_before_the_data() {
    let nsm = nsm();
    let first = nsm.extend(16, b"model").unwrap();
    assert_eq!(first, digest(&SHA384, &[&[0; 48][..], b"model"].concat()).as_ref());
    let second = nsm.extend(16, b"more").unwrap();
    assert_eq!(second, digest(&SHA384, &[&first[..], b"more"].concat()).as_ref());
    assert_eq!(nsm.describe_pcr(16).unwrap().value, second);
}

#[test]
fn a_locked_pcr_is_read_only() {
    let nsm = nsm();
    assert!(matches!(nsm.extend(0, b"x"), Err(Error::ReadOnlyIndex)));
    assert!(matches!(nsm.lock(15), Err(Error::ReadOnlyIndex)));
    nsm.extend(16, b"x").unwrap();
    nsm.lock(16).unwrap();
    let before = nsm.describe_pcr(16).unwrap();
    assert!(before.locked);
    assert!(matches!(nsm.extend(16, b"y"), Err(Error::ReadOnlyIndex)));
    assert!(matches!(nsm.lock(16), Err(Error::ReadOnlyIndex)));
    assert_eq!(nsm.describe_pcr(16).unwrap(), before);
}

#[test]
fn a_range_is_locked_from_zero_up() {
    let nsm = nsm();
    nsm.lock_range(20).unwrap();
    assert!(nsm.describe_pcr(19).unwrap().locked);
    assert!(!nsm.describe_pcr(20).unwrap().locked);
    nsm.lock_range(32).unwrap();
    assert!(matches!(nsm.lock_range(33), Err(Error::InvalidIndex)));
}

#[test]
fn there_is_no_pcr_beyond_31() {
    let nsm = nsm();
    assert!(matches!(nsm.describe_pcr(32), Err(Error::InvalidIndex)));
    assert!(matches!(nsm.extend(32, b"x"), Err(Error::InvalidIndex)));
    assert!(matches!(nsm.lock(u16::MAX), Err(Error::InvalidIndex)));
    let simulated = Simulated { pcrs: BTreeMap::from([(32, [0; 48])]), ..Simulated::default() };
    let error = SimulatedNsm::new(&Authority::ephemeral().unwrap(), simulated).err();
    assert!(matches!(error, Some(SimError::Pcr(32))));
}

#[test]
fn a_document_shows_a_pcr_of_yours_only_once_it_is_locked() {
    let nsm = nsm();
    assert_eq!(documented_pcrs(&nsm).into_keys().collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
    let value = nsm.extend(16, b"model").unwrap();
    assert!(!documented_pcrs(&nsm).contains_key(&16));
    nsm.lock(16).unwrap();
    assert_eq!(documented_pcrs(&nsm)[&16], value);
}

#[test]
fn what_a_document_carries_is_limited() {
    let nsm = nsm();
    let request = |public_key, user_data, nonce| AttestRequest {
        public_key: Some(vec![1; public_key]),
        user_data: Some(vec![2; user_data]),
        nonce: Some(vec![3; nonce]),
    };
    let document = nsm.attest(&request(1024, 512, 512)).unwrap();
    let parsed = cloister_attest::parse(&document).unwrap();
    assert_eq!(parsed.public_key.as_deref(), Some(&[1; 1024][..]));
    assert_eq!(parsed.user_data.as_deref(), Some(&[2; 512][..]));
    assert_eq!(parsed.nonce.as_deref(), Some(&[3; 512][..]));
    for too_large in [request(1025, 512, 512), request(1024, 513, 512), request(1024, 512, 513)] {
        assert!(matches!(nsm.attest(&too_large), Err(Error::InputTooLarge)));
    }
    // {"ExtendPCR": {"index": 16, "data": ...}} leaves 4069 bytes of a request to the data.
    assert!(nsm.extend(16, &[0; 4069]).is_ok());
    assert!(matches!(nsm.extend(16, &[0; 4070]), Err(Error::InputTooLarge)));
}

#[test]
fn random_bytes_come_256_at_a_time_and_differ() {
    let nsm = nsm();
    let (one, two) = (nsm.get_random().unwrap(), nsm.get_random().unwrap());
    assert_eq!((one.len(), two.len()), (256, 256));
    assert_ne!(one, two);
}

#[test]
fn debug_mode_zeroes_the_image_and_not_the_instance() {
    let simulated = Simulated { debug: true, ..Simulated::default() };
    let nsm = SimulatedNsm::new(&Authority::ephemeral().unwrap(), simulated).unwrap();
    let pcrs = documented_pcrs(&nsm);
    for index in [0, 1, 2] {
        assert_eq!(pcrs[&index], [0; 48], "PCR{index}");
    }
    assert_ne!(pcrs[&4], [0; 48]);
}

#[test]
fn pcrs_are_what_the_module_was_told() {
    let pcrs = BTreeMap::from([(0, [7; 48]), (8, [8; 48]), (16, [9; 48])]);
    let simulated = Simulated { pcrs: pcrs.clone(), ..Simulated::default() };
    let nsm = SimulatedNsm::new(&Authority::ephemeral().unwrap(), simulated).unwrap();
    let documented = documented_pcrs(&nsm);
    for (index, value) in pcrs {
        assert_eq!(documented[&index], value, "PCR{index}");
    }
    assert!(matches!(nsm.extend(16, b"x"), Err(Error::ReadOnlyIndex)), "a PCR given from 16 up is extended and locked");
}

#[test]
fn an_authority_is_kept_in_a_folder_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("authority");
    let made = Authority::create(&dir).unwrap();
    let opened = Authority::open(&dir).unwrap();
    assert_eq!(made.root_pem(), opened.root_pem());
    assert!(matches!(Authority::create(&dir), Err(SimError::Exists { .. })));
    assert_eq!(Authority::open(&dir).unwrap().root_pem(), made.root_pem());

    let root = cloister_attest::Root::from_pem(made.root_pem()).unwrap();
    let document = SimulatedNsm::new(&opened, Simulated::default()).unwrap().attest(&AttestRequest::default()).unwrap();
    cloister_attest::verify(&document, &root, std::time::SystemTime::now()).unwrap();

    let other = folder.path().join("other");
    Authority::create(&other).unwrap();
    std::fs::copy(other.join("root.key"), dir.join("root.key")).unwrap();
    assert!(matches!(Authority::open(&dir), Err(SimError::Mismatch)));
}

#[test]
#[cfg(unix)]
fn only_the_owner_reads_the_roots_key() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    Authority::create(folder.path()).unwrap();
    let mode = std::fs::metadata(folder.path().join("root.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
