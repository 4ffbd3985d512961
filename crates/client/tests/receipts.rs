//! Kept receipts under a policy: a true one, and each way in which another is not one.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::time::{Duration, SystemTime};

use cloister_attest::{Binding, Error as Refusal, MODEL_PCR, Measurement, Place, Policy, Root, extended, parse};
use cloister_client::receipt::{ReceiptError, VerifiedReceipt, verify};
use cloister_nsm::{AttestRequest, Nsm};
use cloister_receipt::{Crops, Error as Malformed, Receipt, SigningKey};
use cloister_sim::nsm::adversary::{self, Level};
use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};

const DIGEST: [u8; 48] = [0xd1; 48];
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// An enclave that serves the model of `DIGEST`, its receipt key, and a policy that accepts its image.
struct World {
    authority: Authority,
    nsm: SimulatedNsm,
    key: SigningKey,
}

fn simulated(model: [u8; 48]) -> Simulated {
    let mut simulated = Simulated::default();
    simulated.pcrs.insert(MODEL_PCR, extended(&model));
    simulated
}

/// What an enclave asks for, to have its receipt key vouched for.
fn request(key: &SigningKey) -> AttestRequest {
    let binding = Binding::of(b"a TLS key").with_receipt(key.public_key_der());
    AttestRequest { public_key: Some(key.public_key_der().to_vec()), user_data: Some(binding.encode()), nonce: None }
}

fn measurement(until: Option<SystemTime>) -> Measurement {
    Measurement { label: "release 1".into(), until, pcrs: Simulated::default().pcrs }
}

/// When a document was signed.
fn signed(document: &[u8]) -> SystemTime {
    parse(document).unwrap().timestamp
}

fn receipt(time: SystemTime) -> Receipt {
    let mut receipt = cloister_test_data::receipt();
    receipt.time = time;
    receipt.nonce = Some(vec![7; 32]);
    receipt.model.digest = DIGEST;
    receipt.crops = Crops { seed: Some(0), count: 10 };
    receipt
}

impl World {
    fn new() -> Self {
        let authority = Authority::ephemeral().unwrap();
        let nsm = SimulatedNsm::new(&authority, simulated(DIGEST)).unwrap();
        Self { authority, nsm, key: SigningKey::generate().unwrap() }
    }

    fn voucher(&self) -> Vec<u8> {
        self.nsm.attest(&request(&self.key)).unwrap()
    }

    fn policy(&self) -> Policy {
        self.policy_until(None)
    }

    fn policy_until(&self, until: Option<SystemTime>) -> Policy {
        let root = Root::from_pem(self.authority.root_pem()).unwrap();
        Policy::new(root, 300 * SECOND, vec![measurement(until)]).unwrap()
    }

    /// A receipt of the enclave's key, a second after the document that it comes with.
    fn verify_with(&self, document: &[u8]) -> Result<VerifiedReceipt, ReceiptError> {
        self.verify_at(document, signed(document) + SECOND)
    }

    fn verify_at(&self, document: &[u8], at: SystemTime) -> Result<VerifiedReceipt, ReceiptError> {
        verify(&receipt(at).sign(&self.key, document).unwrap(), &self.policy())
    }

    /// What the policy says against the document that a module with such a chain signed, in a receipt of this time.
    fn refusal_at(&self, document: &[u8], at: SystemTime) -> Refusal {
        match self.verify_at(document, at) {
            Err(ReceiptError::Document(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_true_receipt_is_verified_with_all_that_it_says() {
    let world = World::new();
    let document = world.voucher();
    let at = signed(&document) + SECOND;
    let verified = world.verify_at(&document, at).unwrap();
    assert_eq!(verified.claims, receipt(at));
    assert_eq!(verified.label, "release 1");
    assert_eq!(verified.module_id, Simulated::default().module_id);
    assert_eq!(verified.document_time, signed(&document));
}

#[test]
fn a_receipt_is_verified_long_after_its_certificate_ended() {
    let world = World::new();
    // The module's chain and clock are of three days ago, so that the leaf ended long since.
    let behind = 72 * HOUR;
    let nsm = SimulatedNsm::with_clock_behind(&world.authority, simulated(DIGEST), behind).unwrap();
    let document = nsm.attest(&request(&world.key)).unwrap();
    assert!(signed(&document) < SystemTime::now() - 71 * HOUR);
    assert!(world.verify_with(&document).is_ok());
}

#[test]
fn each_changed_byte_of_a_receipt_is_refused() {
    let world = World::new();
    let document = world.voucher();
    let good = receipt(signed(&document) + SECOND).sign(&world.key, &document).unwrap();
    assert!(verify(&good, &world.policy()).is_ok());
    // Every byte of the claims, the headers and the signature; of the document, which its own tests change byte by byte, a few.
    let within = good.windows(document.len()).position(|bytes| bytes == document).unwrap();
    let document = within..within + document.len();
    for index in (0..good.len()).filter(|index| !document.contains(index) || index % 97 == 0) {
        let mut bad = good.clone();
        bad[index] ^= 0x01;
        assert!(verify(&bad, &world.policy()).is_err(), "byte {index}");
    }
}

#[test]
fn each_field_changed_and_signed_by_a_key_of_ones_own_is_refused() {
    let world = World::new();
    let (document, own) = (world.voucher(), SigningKey::generate().unwrap());
    let changes: [fn(&mut Receipt); 20] = [
        |r| r.nonce = Some(vec![8; 32]),
        |r| r.time += SECOND,
        |r| r.software.push('1'),
        |r| r.kernels.push_str(",avx"),
        |r| r.model.name.push('2'),
        |r| r.model.version += 1,
        |r| r.model.digest[0] ^= 1,
        |r| r.preprocessing.push('1'),
        |r| r.crops.seed = Some(1),
        |r| r.crops.count = 1,
        |r| r.views[0].view = "R-CC".to_owned(),
        |r| r.views[0].bytes_sha256 = [3; 32],
        |r| r.views[0].pixels_sha256 = [3; 32],
        |r| r.views[0].sop_instance_uid = Some("1.2".to_owned()),
        |r| r.views[0].rows += 1,
        |r| r.views[0].window[3] += 1,
        |r| r.views[0].best_center[0] += 1,
        |r| r.views[0].findings = vec!["saturated".to_owned()],
        |r| r.findings = vec!["missing-R-CC".to_owned()],
        |r| *r.views[0].scores.get_mut("malignant").unwrap() = 0.9,
    ];
    for change in changes {
        let mut forged = receipt(signed(&document) + SECOND);
        change(&mut forged);
        let refused = verify(&forged.sign(&own, &document).unwrap(), &world.policy());
        assert_eq!(refused, Err(ReceiptError::Signature(Malformed::BadSignature)));
    }
}

#[test]
fn a_receipt_under_the_document_of_another_model_is_refused() {
    let world = World::new();
    for pcrs in [simulated([0xd2; 48]), Simulated::default()] {
        // The same image and the same key, whose enclave had measured another model, or none yet.
        let nsm = SimulatedNsm::new(&world.authority, pcrs).unwrap();
        let document = nsm.attest(&request(&world.key)).unwrap();
        let other = ReceiptError::OtherModel { name: "m".to_owned(), version: 1 };
        assert_eq!(world.verify_with(&document), Err(other));
    }
}

#[test]
fn a_document_that_vouches_for_another_key_is_refused() {
    let world = World::new();
    let another = SigningKey::generate().unwrap();
    let document = world.nsm.attest(&request(&another)).unwrap();
    assert_eq!(world.verify_with(&document), Err(ReceiptError::Signature(Malformed::BadSignature)));
    let attest = |request: AttestRequest| world.verify_with(&world.nsm.attest(&request).unwrap());
    let carried = AttestRequest { public_key: request(&world.key).public_key, ..request(&another) };
    assert_eq!(attest(carried), Err(Refusal::ReceiptKeyUnbound.into()));
    let tls_only = Some(Binding::of(world.key.public_key_der()).encode());
    let as_tls_key = AttestRequest { user_data: tls_only, ..request(&world.key) };
    assert_eq!(attest(as_tls_key), Err(Refusal::ReceiptKeyUnbound.into()));
    let unbound = AttestRequest { user_data: None, ..request(&world.key) };
    assert_eq!(attest(unbound), Err(Refusal::BindingMissing.into()));
    let keyless = AttestRequest { public_key: None, ..request(&world.key) };
    assert_eq!(attest(keyless), Err(Refusal::NoReceiptKey.into()));
}

#[test]
fn a_receipt_signed_after_its_documents_certificate_ended_is_refused() {
    let world = World::new();
    let document = world.voucher();
    let leaf = parse(&document).unwrap().chain().unwrap().pop().unwrap();
    assert!(world.verify_at(&document, leaf.not_after).is_ok());
    for at in [leaf.not_after + SECOND, signed(&document) + 4 * HOUR] {
        let refusal = world.refusal_at(&document, at);
        assert!(matches!(refusal, Refusal::Expired { place: Place::Leaf, .. }), "{refusal}");
    }
}

#[test]
fn a_document_older_than_a_certificate_lives_is_refused_however_long_its_own_does() {
    let world = World::new();
    let long = |level: Level, draft: &mut adversary::Draft| {
        if level == Level::Leaf {
            draft.params.not_after += 10 * HOUR;
        }
    };
    let nsm = adversary::with_chain(&world.authority, simulated(DIGEST), &long).unwrap();
    let document = nsm.attest(&request(&world.key)).unwrap();
    assert!(world.verify_at(&document, signed(&document) + 3 * HOUR).is_ok());
    let refusal = world.refusal_at(&document, signed(&document) + 3 * HOUR + SECOND);
    assert!(matches!(refusal, Refusal::StaleDocument { limit, .. } if limit == 3 * HOUR), "{refusal}");
}

#[test]
fn a_document_dated_after_the_receipt_is_refused() {
    let world = World::new();
    let document = world.voucher();
    assert!(world.verify_at(&document, signed(&document)).is_ok());
    let refusal = world.refusal_at(&document, signed(&document) - Duration::from_millis(1));
    assert!(matches!(refusal, Refusal::FromTheFuture { limit: Duration::ZERO, .. }), "{refusal}");
    let refusal = world.refusal_at(&document, signed(&document) - HOUR);
    assert!(matches!(refusal, Refusal::NotYetValid { place: Place::Leaf, .. }), "{refusal}");
}

#[test]
fn an_entry_that_ended_counts_as_of_the_receipts_time() {
    let world = World::new();
    let nsm = SimulatedNsm::with_clock_behind(&world.authority, simulated(DIGEST), 2 * HOUR).unwrap();
    let document = nsm.attest(&request(&world.key)).unwrap();
    let bytes = receipt(signed(&document) + SECOND).sign(&world.key, &document).unwrap();
    // It ended since then.
    let ended = SystemTime::now() - HOUR;
    assert!(verify(&bytes, &world.policy_until(Some(ended))).is_ok());
    // It had ended then.
    let refused = verify(&bytes, &world.policy_until(Some(signed(&document) + SECOND)));
    assert!(matches!(refused, Err(ReceiptError::Document(Refusal::NoLongerAccepted { .. }))), "{refused:?}");
}

#[test]
fn an_enclave_that_the_policy_does_not_accept_signs_in_vain() {
    let world = World::new();
    let from = |authority: &Authority, simulated| {
        let document = SimulatedNsm::new(authority, simulated).unwrap().attest(&request(&world.key)).unwrap();
        world.refusal_at(&document, signed(&document) + SECOND)
    };
    let refusal = from(&world.authority, Simulated { debug: true, ..simulated(DIGEST) });
    assert!(matches!(refusal, Refusal::DebugMode { .. }), "{refusal}");
    let mut other = simulated(DIGEST);
    other.pcrs.insert(0, [0x20; 48]);
    let refusal = from(&world.authority, other);
    assert!(matches!(refusal, Refusal::WrongPcr { index: 0, .. }), "{refusal}");
    let refusal = from(&Authority::ephemeral().unwrap(), simulated(DIGEST));
    assert!(matches!(refusal, Refusal::UnpinnedRoot { .. }), "{refusal}");
    let refusal = world.refusal_at(b"no document at all", SystemTime::now());
    assert!(refusal.is_malformed(), "{refusal}");
}

#[test]
fn what_is_no_receipt_is_told_from_one_that_is_not_believed() {
    let world = World::new();
    let error = verify(b"a receipt", &world.policy()).unwrap_err();
    assert_eq!(error, ReceiptError::Malformed(Malformed::NotReceipt));
    assert!(error.is_malformed());
    let unbound = world.nsm.attest(&AttestRequest { user_data: None, ..request(&world.key) }).unwrap();
    assert!(!world.verify_with(&unbound).unwrap_err().is_malformed());
}
