//! Key release against a simulated KMS on a real socket, which can be told to lie.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cloister_aws_http::{Egress, Roots};
use cloister_kms::{
    AuditError, Error, KmsClient, Obstacle, PolicyFinding, Release, Settings, audit_key_policy, cms, context,
    credentials, decrypt_data_key, generate_data_key, release,
};
use cloister_seal::{DataKey, Header, Purpose, Sealed, Sealer};
use cloister_sim::kms::{Config, ContentForm, Fault, Running, Server};
use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};

const OWNER_ACCOUNT: &str = "111122223333";
const IMAGE: [u8; 48] = [0xc1; 48];
const DIGEST: &str = "5e";
const CONDITION: &str = "kms:RecipientAttestation:ImageSha384";

/// A KMS, a key that opens for [`IMAGE`] alone, and a data key under it.
struct Scene {
    authority: Authority,
    kms: Running,
    key_arn: String,
    wrapped: Vec<u8>,
    /// Ten bytes sealed under the data key: it has no other face.
    sealed: Vec<u8>,
}

impl Scene {
    async fn new() -> Self {
        let authority = Authority::ephemeral().unwrap();
        let kms = Server::start(Config::local(authority.root_pem())).await.unwrap();
        let key_arn = kms.create_key(OWNER_ACCOUNT, &policy(&condition(&hex::encode(IMAGE)))).unwrap();
        let mut scene = Self { authority, kms, key_arn, wrapped: Vec::new(), sealed: Vec::new() };
        let (key, wrapped) = generate_data_key(&scene.owner(), &scene.key_arn, &model()).await.unwrap();
        scene.sealed = seal(&key);
        scene.wrapped = wrapped;
        scene
    }

    fn client(&self, id: &str, secret: &str, token: Option<&str>) -> KmsClient {
        let settings = Settings {
            region: "us-east-1".into(),
            endpoint: Some(self.kms.endpoint()),
            credentials: credentials(id, secret, token),
            egress: Egress::Direct,
            roots: Roots::Pem(self.kms.ca_pem.clone()),
        };
        KmsClient::with_timeout(settings, Duration::from_millis(1500)).unwrap()
    }

    fn owner(&self) -> KmsClient {
        self.client("CLOISTERSIMMODELOWNER", "simulated-secret-of-the-model-owner", None)
    }

    fn data_owner(&self) -> KmsClient {
        self.client("CLOISTERSIMDATAOWNER", "simulated-secret-of-the-data-owner", None)
    }

    fn parent(&self) -> KmsClient {
        let token = "simulated-session-token-of-the-parent";
        self.client("CLOISTERSIMPARENT", "simulated-secret-of-the-parent", Some(token))
    }

    fn enclave(&self, pcr0: [u8; 48]) -> SimulatedNsm {
        let mut simulated = Simulated::default();
        simulated.pcrs.insert(0, pcr0);
        SimulatedNsm::new(&self.authority, simulated).unwrap()
    }

    async fn release(&self) -> Result<DataKey, Error> {
        self.release_of(&self.key_arn, &self.wrapped, &model()).await
    }

    async fn release_of(
        &self,
        key_arn: &str,
        wrapped: &[u8],
        context: &BTreeMap<String, String>,
    ) -> Result<DataKey, Error> {
        let nsm = self.enclave(IMAGE);
        release(&self.parent(), &Release { nsm: &nsm, key_arn, wrapped_key: wrapped, context }).await
    }

    async fn release_to(&self, nsm: &SimulatedNsm) -> Result<DataKey, Error> {
        let release = Release { nsm, key_arn: &self.key_arn, wrapped_key: &self.wrapped, context: &model() };
        cloister_kms::release(&self.parent(), &release).await
    }

    /// What a release ends in while KMS misbehaves.
    async fn release_under(&self, fault: Fault) -> Error {
        self.kms.inject(fault);
        let error = self.release().await.err().unwrap();
        self.kms.clear_fault();
        error
    }

    fn opens(&self, key: &DataKey) -> bool {
        let sealed = Sealed::read_header(self.sealed.as_slice()).unwrap();
        let Ok(mut opener) = sealed.open(key, Purpose::Model) else { return false };
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut opener, &mut content).is_ok() && content == b"ten bytes."
    }
}

fn model() -> BTreeMap<String, String> {
    context::for_model("density", 3, DIGEST)
}

fn condition(measurement: &str) -> String {
    format!(r#"{{"StringEqualsIgnoreCase": {{"{CONDITION}": "{measurement}"}}}}"#)
}

/// The owner may do all but decrypt; the enclave's role may decrypt under a condition.
fn policy(condition: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Sid": "owner", "Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::111122223333:root"}}, "Resource": "*",
              "Action": ["kms:GenerateDataKey", "kms:Encrypt", "kms:Describe*", "kms:Get*", "kms:PutKeyPolicy"]}},
            {{"Sid": "enclave", "Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::444455556666:role/cloister-parent"}},
              "Resource": "*", "Action": "kms:Decrypt", "Condition": {condition}}}]}}"#
    )
}

fn seal(key: &DataKey) -> Vec<u8> {
    let header = Header {
        purpose: Purpose::Model,
        key_arn: "arn:aws:kms:us-east-1:111122223333:key/k".into(),
        wrapped_key: vec![1],
        context: BTreeMap::new(),
        chunk_size: 64,
        salt: None,
    };
    let mut sealer = Sealer::new(Vec::new(), &header, key).unwrap();
    std::io::Write::write_all(&mut sealer, b"ten bytes.").unwrap();
    sealer.finish().unwrap()
}

#[tokio::test]
async fn the_measured_enclave_gets_its_key_in_every_form_of_answer() {
    let scene = Scene::new().await;
    for form in [ContentForm::OneChunk, ContentForm::SmallChunks, ContentForm::Primitive] {
        scene.kms.set_content_form(form);
        assert!(scene.opens(&scene.release().await.unwrap()), "{form:?}");
    }
}

#[tokio::test]
async fn another_image_gets_nothing_and_is_told_its_measurement() {
    let scene = Scene::new().await;
    let error = scene.release_to(&scene.enclave([0xc2; 48])).await.err().unwrap();
    assert!(matches!(&error, Error::AccessDenied { action: "kms:Decrypt", key_arn, .. } if *key_arn == scene.key_arn));
    let words = error.to_string();
    assert!(
        words.contains(&"c2".repeat(48))
            && words.contains("does not allow this measurement")
            && words.contains("density")
    );
}

#[tokio::test]
async fn an_enclave_in_debug_mode_gets_nothing() {
    let scene = Scene::new().await;
    let simulated = Simulated { debug: true, ..Simulated::default() };
    let nsm = SimulatedNsm::new(&scene.authority, simulated).unwrap();
    assert!(matches!(scene.release_to(&nsm).await, Err(Error::AccessDenied { .. })));
}

#[tokio::test]
async fn a_document_of_another_root_is_refused() {
    let scene = Scene::new().await;
    let nsm = SimulatedNsm::new(&Authority::ephemeral().unwrap(), Simulated::default()).unwrap();
    assert!(matches!(scene.release_to(&nsm).await, Err(Error::AttestationRefused(_))));
}

#[tokio::test]
async fn a_document_whose_certificates_have_ended_is_refused() {
    let scene = Scene::new().await;
    let mut simulated = Simulated::default();
    simulated.pcrs.insert(0, IMAGE);
    let day = Duration::from_secs(86_400);
    let nsm = SimulatedNsm::with_clock_behind(&scene.authority, simulated, day).unwrap();
    assert!(matches!(scene.release_to(&nsm).await, Err(Error::AttestationRefused(_))));
}

#[tokio::test]
async fn a_plaintext_in_the_answer_is_refused_beside_the_ciphertext_or_instead() {
    let scene = Scene::new().await;
    assert!(matches!(scene.release_under(Fault::PlaintextBesideCiphertext).await, Error::PlaintextReturned));
    assert!(matches!(scene.release_under(Fault::PlaintextInstead).await, Error::PlaintextReturned));
}

#[tokio::test]
async fn an_answer_for_another_key_is_refused() {
    let scene = Scene::new().await;
    let other = scene.kms.create_key(OWNER_ACCOUNT, &policy(&condition(&hex::encode(IMAGE)))).unwrap();
    let error = scene.release_under(Fault::OtherKeyId(other.clone())).await;
    assert!(
        matches!(error, Error::OtherKey { expected, returned } if expected == scene.key_arn && returned == Some(other))
    );
    // Even by the same key's other name.
    let id = scene.key_arn.rsplit('/').next().unwrap().to_owned();
    assert!(matches!(scene.release_under(Fault::OtherKeyId(id)).await, Error::OtherKey { .. }));
}

#[tokio::test]
async fn an_answer_for_another_algorithm_is_refused() {
    let scene = Scene::new().await;
    let error = scene.release_under(Fault::OtherAlgorithm).await;
    assert!(matches!(error, Error::OtherAlgorithm(Some(name)) if name == "RSAES_OAEP_SHA_256"));
}

#[tokio::test]
async fn an_answer_with_nothing_for_the_enclave_is_refused() {
    let scene = Scene::new().await;
    assert!(matches!(scene.release_under(Fault::NothingForRecipient).await, Error::NothingForRecipient));
}

#[tokio::test]
async fn an_answer_that_is_no_cms_message_is_refused() {
    let scene = Scene::new().await;
    assert!(matches!(scene.release_under(Fault::GarbageCms).await, Error::Cms(cms::Error::Unexpected { .. })));
}

#[tokio::test]
async fn a_key_of_another_length_is_refused() {
    let scene = Scene::new().await;
    assert!(matches!(scene.release_under(Fault::ShortDataKey(16)).await, Error::KeyLength(16)));
    assert!(matches!(scene.release_under(Fault::ShortDataKey(31)).await, Error::KeyLength(31)));
}

/// CMS cannot tell a swapped key: the sealed file can, and nothing of it comes out.
#[tokio::test]
async fn a_swapped_data_key_does_not_open_the_sealed_file() {
    let scene = Scene::new().await;
    scene.kms.inject(Fault::OtherDataKey);
    let key = scene.release().await.unwrap();
    assert!(!scene.opens(&key));
}

#[tokio::test]
async fn a_wrapped_key_made_under_another_key_is_refused() {
    let scene = Scene::new().await;
    let other = scene.kms.create_key(OWNER_ACCOUNT, &policy(&condition(&hex::encode(IMAGE)))).unwrap();
    let (_, substituted) = generate_data_key(&scene.owner(), &other, &model()).await.unwrap();
    let error = scene.release_of(&scene.key_arn, &substituted, &model()).await.err().unwrap();
    assert!(matches!(error, Error::WrappedUnderOtherKey(key) if key == scene.key_arn));
}

#[tokio::test]
async fn a_wrapped_key_made_for_another_model_is_refused() {
    let scene = Scene::new().await;
    for other in [
        context::for_model("density", 2, DIGEST),
        context::for_model("other", 3, DIGEST),
        context::for_model("density", 3, "5f"),
        BTreeMap::new(),
    ] {
        let (_, substituted) = generate_data_key(&scene.owner(), &scene.key_arn, &other).await.unwrap();
        let error = scene.release_of(&scene.key_arn, &substituted, &model()).await.err().unwrap();
        assert!(matches!(error, Error::WrappedKeyRefused), "{other:?}");
    }
}

#[tokio::test]
async fn a_wrapped_key_with_a_flipped_bit_is_refused() {
    let scene = Scene::new().await;
    for at in (0..scene.wrapped.len()).step_by(11) {
        let mut changed = scene.wrapped.clone();
        changed[at] ^= 1;
        let error = scene.release_of(&scene.key_arn, &changed, &model()).await.err().unwrap();
        assert!(matches!(error, Error::WrappedKeyRefused | Error::WrappedUnderOtherKey(_)), "byte {at}: {error}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_pinned_key_is_refused_before_anything_is_sent() {
    let scene = Scene::new().await;
    let before = scene.kms.requests();
    let id = scene.key_arn.rsplit('/').next().unwrap();
    for name in ["alias/model", id, ""] {
        assert!(matches!(scene.release_of(name, &scene.wrapped, &model()).await, Err(Error::KeyArn(_))), "{name}");
    }
    let elsewhere = scene.key_arn.replace("us-east-1", "eu-west-3");
    assert!(matches!(scene.release_of(&elsewhere, &scene.wrapped, &model()).await, Err(Error::Region { .. })));
    assert!(matches!(scene.release_of(&scene.key_arn, &[], &model()).await, Err(Error::WrappedKeyLength(0))));
    assert!(matches!(scene.release_of(&scene.key_arn, &[0; 6145], &model()).await, Err(Error::WrappedKeyLength(6145))));
    assert_eq!(scene.kms.requests(), before);
}

#[tokio::test]
async fn throttling_and_internal_errors_are_tried_again_a_bounded_number_of_times() {
    let scene = Scene::new().await;
    for fault in [Fault::Throttle, Fault::InternalError] {
        scene.kms.inject_times(fault.clone(), 2);
        let before = scene.kms.requests();
        assert!(scene.opens(&scene.release().await.unwrap()));
        assert_eq!(scene.kms.requests() - before, 3, "{fault:?}");
    }
    let before = scene.kms.requests();
    assert!(matches!(scene.release_under(Fault::Throttle).await, Error::Throttled));
    assert_eq!(scene.kms.requests() - before, 4);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let scene = Scene::new().await;
    let before = scene.kms.requests();
    assert!(scene.release_to(&scene.enclave([0xc2; 48])).await.is_err());
    assert!(matches!(scene.release_under(Fault::GarbageCms).await, Error::Cms(_)));
    assert_eq!(scene.kms.requests() - before, 2);
}

#[tokio::test]
async fn expired_credentials_are_told_apart_and_not_tried_again() {
    let scene = Scene::new().await;
    let before = scene.kms.requests();
    let error = scene.release_under(Fault::ExpiredToken).await;
    assert!(error.is_expired_token());
    assert_eq!(scene.kms.requests() - before, 1);
}

#[tokio::test]
async fn wrong_credentials_are_told_apart() {
    let scene = Scene::new().await;
    let nsm = scene.enclave(IMAGE);
    let release = Release { nsm: &nsm, key_arn: &scene.key_arn, wrapped_key: &scene.wrapped, context: &model() };
    for (id, secret, token, code) in [
        ("CLOISTERSIMNOBODY", "x", None, "UnrecognizedClientException"),
        ("CLOISTERSIMMODELOWNER", "wrong", None, "InvalidSignatureException"),
        ("CLOISTERSIMPARENT", "simulated-secret-of-the-parent", None, "UnrecognizedClientException"),
    ] {
        let error = cloister_kms::release(&scene.client(id, secret, token), &release).await.err().unwrap();
        assert!(matches!(&error, Error::Credentials { code: found, .. } if found == code), "{error}");
    }
}

#[tokio::test]
async fn a_kms_that_stalls_is_given_up_within_bounds() {
    let scene = Scene::new().await;
    let started = Instant::now();
    assert!(matches!(scene.release_under(Fault::Stall).await, Error::TimedOut));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_with_another_authority_is_not_spoken_to() {
    let scene = Scene::new().await;
    let other = Server::start(Config::local(scene.authority.root_pem())).await.unwrap();
    let settings = Settings {
        region: "us-east-1".into(),
        endpoint: Some(scene.kms.endpoint()),
        credentials: credentials("CLOISTERSIMMODELOWNER", "simulated-secret-of-the-model-owner", None),
        egress: Egress::Direct,
        roots: Roots::Pem(other.ca_pem.clone()),
    };
    let client = KmsClient::with_timeout(settings, Duration::from_millis(1500)).unwrap();
    let before = scene.kms.requests();
    let error = generate_data_key(&client, &scene.key_arn, &model()).await.err().unwrap();
    assert!(matches!(error, Error::Unreachable { obstacle: Obstacle::Tls, .. }), "{error}");
    assert_eq!(scene.kms.requests(), before);
}

#[tokio::test]
async fn an_endpoint_without_tls_is_refused() {
    let settings = Settings {
        region: "us-east-1".into(),
        endpoint: Some("http://127.0.0.1:1".into()),
        credentials: credentials("a", "b", None),
        egress: Egress::Direct,
        roots: Roots::WebPki,
    };
    assert!(matches!(KmsClient::new(settings), Err(Error::Endpoint(_))));
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_told_apart() {
    let scene = Scene::new().await;
    let gone = format!("arn:aws:kms:us-east-1:{OWNER_ACCOUNT}:key/12345678-1234-1234-1234-123456789012");
    assert!(
        matches!(scene.release_of(&gone, &scene.wrapped, &model()).await, Err(Error::KeyNotFound(key)) if key == gone)
    );
    assert!(matches!(generate_data_key(&scene.owner(), &gone, &model()).await, Err(Error::KeyNotFound(_))));
}

#[tokio::test]
async fn a_data_key_for_another_key_or_of_another_length_is_refused() {
    let scene = Scene::new().await;
    scene.kms.inject(Fault::OtherKeyId("arn:aws:kms:us-east-1:111122223333:key/other".into()));
    assert!(matches!(generate_data_key(&scene.owner(), &scene.key_arn, &model()).await, Err(Error::OtherKey { .. })));
    // The enclave's role may decrypt, and that is all.
    scene.kms.clear_fault();
    let denied = generate_data_key(&scene.parent(), &scene.key_arn, &model()).await;
    assert!(matches!(denied, Err(Error::AccessDenied { action: "kms:GenerateDataKey", .. })));
}

#[tokio::test]
async fn the_audit_judges_the_policy_in_force() {
    let scene = Scene::new().await;
    audit_key_policy(&scene.owner(), &scene.key_arn).await.unwrap();
    let open = scene.kms.create_key(OWNER_ACCOUNT, &policy("{}")).unwrap();
    let finding = audit_key_policy(&scene.owner(), &open).await.unwrap_err();
    assert!(matches!(
        &finding,
        AuditError::Finding(PolicyFinding::Unattested { statement, action: "kms:Decrypt", .. }) if statement.contains("enclave")
    ));
    assert!(finding.to_string().contains(CONDITION));
    let denied = audit_key_policy(&scene.parent(), &open).await.unwrap_err();
    assert!(matches!(denied, AuditError::Call(Error::AccessDenied { action: "kms:GetKeyPolicy", .. })));
}

/// A key of the data owner's: its own role opens with it, and the enclave's only from a measured image.
fn data_policy() -> String {
    let condition = condition(&hex::encode(IMAGE));
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Sid": "data-owner", "Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::444455556666:role/data-owner"}},
              "Resource": "*", "Action": ["kms:GenerateDataKey", "kms:Decrypt"]}},
            {{"Sid": "enclave", "Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::444455556666:role/cloister-parent"}},
              "Resource": "*", "Action": "kms:Decrypt", "Condition": {condition}}}]}}"#
    )
}

#[tokio::test]
async fn the_owner_opens_an_image_s_key_without_an_enclave_and_the_parent_s_role_does_not() {
    let mut scene = Scene::new().await;
    let key_arn = scene.kms.create_key("444455556666", &data_policy()).unwrap();
    let context = context::for_image("L-CC", &context::ImageName::random().unwrap());
    let (key, wrapped) = generate_data_key(&scene.data_owner(), &key_arn, &context).await.unwrap();
    scene.sealed = seal(&key);
    let owned = decrypt_data_key(&scene.data_owner(), &key_arn, &wrapped, &context).await.unwrap();
    assert!(scene.opens(&owned));
    assert!(scene.opens(&scene.release_of(&key_arn, &wrapped, &context).await.unwrap()), "the enclave gets the same");

    let denied = decrypt_data_key(&scene.parent(), &key_arn, &wrapped, &context).await;
    assert!(matches!(denied, Err(Error::AccessDenied { action: "kms:Decrypt", .. })));
    let other = context::for_image("R-CC", &context::ImageName::random().unwrap());
    let refused = decrypt_data_key(&scene.data_owner(), &key_arn, &wrapped, &other).await;
    assert!(matches!(refused, Err(Error::WrappedKeyRefused)));
    let another = scene.kms.create_key("444455556666", &data_policy()).unwrap();
    let refused = decrypt_data_key(&scene.data_owner(), &another, &wrapped, &context).await;
    assert!(matches!(refused, Err(Error::WrappedUnderOtherKey(_))));
    let refused = decrypt_data_key(&scene.data_owner(), &key_arn, &[], &context).await;
    assert!(matches!(refused, Err(Error::WrappedKeyLength(0))));
}

#[tokio::test]
async fn an_owner_does_not_take_an_answer_of_another_key_or_algorithm() {
    let scene = Scene::new().await;
    let key_arn = scene.kms.create_key("444455556666", &data_policy()).unwrap();
    let context = context::for_image("L-CC", &context::ImageName::random().unwrap());
    let (_, wrapped) = generate_data_key(&scene.data_owner(), &key_arn, &context).await.unwrap();
    scene.kms.inject(Fault::OtherKeyId(scene.key_arn.clone()));
    let refused = decrypt_data_key(&scene.data_owner(), &key_arn, &wrapped, &context).await;
    assert!(matches!(refused, Err(Error::OtherKey { .. })));
    scene.kms.inject(Fault::OtherAlgorithm);
    let refused = decrypt_data_key(&scene.data_owner(), &key_arn, &wrapped, &context).await;
    assert!(matches!(refused, Err(Error::OtherAlgorithm(_))));
}
