//! The simulated KMS's protocol, request by request: signatures made by AWS's own signer, and what happens to those that were touched.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloister_sim::kms::{Config, Principals, PrincipalsError, Running, Server, StartError};
use cloister_sim::nsm::Authority;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

const OWNER: (&str, &str) = ("CLOISTERSIMMODELOWNER", "simulated-secret-of-the-model-owner");

/// A request before it is signed.
struct Draft {
    target: &'static str,
    body: String,
    key: (String, String, Option<String>),
    region: &'static str,
    service: &'static str,
    time: SystemTime,
    unsigned: Vec<&'static str>,
}

impl Draft {
    fn new(target: &'static str, body: &Value) -> Self {
        Self {
            target,
            body: body.to_string(),
            key: (OWNER.0.into(), OWNER.1.into(), None),
            region: "us-east-1",
            service: "kms",
            time: SystemTime::now(),
            unsigned: Vec::new(),
        }
    }

    fn create_key() -> Self {
        Self::new("TrentService.CreateKey", &json!({}))
    }

    fn signed(self) -> Request<Full<Bytes>> {
        let (id, secret, token) = self.key;
        let identity = Credentials::new(id, secret, token, None, "test").into();
        let mut settings = SigningSettings::default();
        let excluded = settings.excluded_headers.get_or_insert_default();
        excluded.extend(self.unsigned.iter().map(|name| (*name).into()));
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers =
            [("host", "localhost"), ("x-amz-target", self.target), ("content-type", "application/x-amz-json-1.1")];
        let signable = SignableRequest::new(
            "POST",
            "https://localhost/",
            headers.into_iter(),
            SignableBody::Bytes(self.body.as_bytes()),
        );
        let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Full::new(Bytes::from(self.body.clone()))).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

struct Answer {
    status: StatusCode,
    request_id: String,
    body: Value,
}

impl Answer {
    fn exception(&self) -> (&str, &str) {
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{}", self.body);
        (self.body["__type"].as_str().unwrap(), self.body["message"].as_str().unwrap_or_default())
    }

    fn arn(&self) -> &str {
        self.body["KeyMetadata"]["Arn"].as_str().unwrap_or_else(|| panic!("{}", self.body))
    }
}

async fn start() -> Running {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut Config)) -> Running {
    let mut config = Config::local(Authority::ephemeral().unwrap().root_pem());
    change(&mut config);
    Server::start(config).await.unwrap()
}

async fn send(kms: &Running, request: Request<Full<Bytes>>) -> Answer {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(kms.ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = TlsConnector::from(Arc::new(tls.with_root_certificates(roots).with_no_client_auth()));
    let stream = tokio::net::TcpStream::connect(kms.address).await.unwrap();
    let stream = tls.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    assert_eq!(parts.headers["content-type"], "application/x-amz-json-1.1");
    let request_id = parts.headers["x-amzn-requestid"].to_str().unwrap().to_owned();
    Answer { status: parts.status, request_id, body: serde_json::from_slice(&body).unwrap() }
}

#[tokio::test]
async fn a_signed_request_is_answered_under_an_id_of_its_own() {
    let kms = start().await;
    let (one, two) = (send(&kms, Draft::create_key().signed()).await, send(&kms, Draft::create_key().signed()).await);
    assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(one.request_id.len(), 36);
    assert_ne!(one.request_id, two.request_id);
    assert_ne!(one.arn(), two.arn());
}

#[tokio::test]
async fn a_request_without_a_signature_is_refused() {
    let kms = start().await;
    let mut request = Draft::create_key().signed();
    request.headers_mut().remove("authorization");
    assert_eq!(send(&kms, request).await.exception().0, "MissingAuthenticationTokenException");
    for header in ["Basic abc", "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request", "AWS4-HMAC-SHA256 x"] {
        let mut request = Draft::create_key().signed();
        request.headers_mut().insert("authorization", HeaderValue::from_static(header));
        assert_eq!(send(&kms, request).await.exception().0, "IncompleteSignatureException", "{header}");
    }
}

#[tokio::test]
async fn a_signature_does_not_fit_a_request_that_was_changed() {
    let kms = start().await;
    for (name, value) in [
        ("x-amz-target", "TrentService.DescribeKey"),
        ("content-type", "application/json"),
        ("host", "kms.us-east-1.amazonaws.com"),
    ] {
        let mut request = Draft::create_key().signed();
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        assert_eq!(send(&kms, request).await.exception().0, "InvalidSignatureException", "{name}");
    }
    let mut request = Draft::create_key().signed();
    *request.body_mut() = Full::new(Bytes::from_static(br#"{"Description": "another"}"#));
    assert_eq!(send(&kms, request).await.exception().0, "InvalidSignatureException");
    // Another time of the same day.
    let mut request = Draft::create_key().signed();
    let date = request.headers()["x-amz-date"].to_str().unwrap().to_owned();
    let second = if date.ends_with("00Z") { "01Z" } else { "00Z" };
    let changed = format!("{}{second}", &date[..date.len() - 3]);
    request.headers_mut().insert("x-amz-date", HeaderValue::from_str(&changed).unwrap());
    assert_eq!(send(&kms, request).await.exception().0, "InvalidSignatureException");
}

#[tokio::test]
async fn headers_that_tell_requests_apart_must_be_signed() {
    let kms = start().await;
    for name in ["x-amz-target", "host"] {
        let draft = Draft { unsigned: vec![name], ..Draft::create_key() };
        let answer = send(&kms, draft.signed()).await;
        let (exception, message) = answer.exception();
        assert!(exception == "InvalidSignatureException" && message.contains(name), "{message}");
    }
}

#[tokio::test]
async fn a_signature_is_good_for_five_minutes_around_its_time() {
    let kms = start().await;
    for minutes in [4, 6] {
        let distance = Duration::from_secs(60 * minutes);
        for time in [SystemTime::now() - distance, SystemTime::now() + distance] {
            let answer = send(&kms, Draft { time, ..Draft::create_key() }.signed()).await;
            if minutes < 5 {
                assert_eq!(answer.status, StatusCode::OK);
            } else {
                assert_eq!(answer.exception().0, "InvalidSignatureException");
            }
        }
    }
}

#[tokio::test]
async fn a_signature_is_good_for_this_region_and_service_only() {
    let kms = start().await;
    let region = Draft { region: "eu-west-3", ..Draft::create_key() };
    assert_eq!(send(&kms, region.signed()).await.exception().0, "InvalidSignatureException");
    let service = Draft { service: "sts", ..Draft::create_key() };
    assert_eq!(send(&kms, service.signed()).await.exception().0, "InvalidSignatureException");
}

#[tokio::test]
async fn a_session_token_must_be_the_one_that_was_issued_and_still_run() {
    let principals = r#"
        [[principal]]
        access_key_id = "SESSION"
        secret_access_key = "secret"
        session_token = "token"
        expiration = "2999-01-01T00:00:00Z"
        arn = "arn:aws:iam::111122223333:role/r"
        [[principal]]
        access_key_id = "ENDED"
        secret_access_key = "secret"
        session_token = "token"
        expiration = "2001-01-01T00:00:00Z"
        arn = "arn:aws:iam::111122223333:role/r"
    "#;
    let kms = start_with(|config| config.principals = Principals::parse(principals).unwrap()).await;
    for (id, token, expected) in [
        ("SESSION", Some("token"), None),
        ("SESSION", Some("Token"), Some("UnrecognizedClientException")),
        ("SESSION", None, Some("UnrecognizedClientException")),
        ("ENDED", Some("token"), Some("ExpiredTokenException")),
        ("NOBODY", Some("token"), Some("UnrecognizedClientException")),
    ] {
        let key = (id.to_owned(), "secret".to_owned(), token.map(str::to_owned));
        let answer = send(&kms, Draft { key, ..Draft::create_key() }.signed()).await;
        assert_eq!(answer.body["__type"].as_str(), expected, "{id} {token:?}");
    }
}

#[tokio::test]
async fn what_is_no_request_of_kms_is_refused_by_name() {
    let kms = start().await;
    for target in ["TrentService.DisableKey", "TrentService.", "AnotherService.CreateKey", "CreateKey"] {
        let answer = send(&kms, Draft::new(target, &json!({})).signed()).await;
        assert_eq!(answer.exception().0, "UnknownOperationException", "{target}");
    }
    let mut elsewhere = Draft::create_key().signed();
    *elsewhere.uri_mut() = Uri::from_static("/keys");
    assert_eq!(send(&kms, elsewhere).await.exception().0, "UnknownOperationException");
    let garbage = Draft { body: "{".into(), ..Draft::create_key() };
    assert_eq!(send(&kms, garbage.signed()).await.exception().0, "SerializationException");
    let endless = Draft { body: " ".repeat(600 * 1024), ..Draft::create_key() };
    assert_eq!(send(&kms, endless.signed()).await.exception().0, "RequestEntityTooLargeException");
    let nameless = Draft::new("TrentService.DescribeKey", &json!({}));
    assert_eq!(send(&kms, nameless.signed()).await.exception().0, "ValidationException");
}

#[tokio::test]
async fn another_account_needs_the_keys_policy_and_its_own() {
    let principals = r#"{"principal": [
        {"access_key_id": "CLOISTERSIMMODELOWNER", "secret_access_key": "simulated-secret-of-the-model-owner",
         "arn": "arn:aws:iam::111122223333:role/model-owner"},
        {"access_key_id": "MAY", "secret_access_key": "s", "arn": "arn:aws:iam::444455556666:user/may", "iam_allows": ["kms:Describe*"]},
        {"access_key_id": "MAYNOT", "secret_access_key": "s", "arn": "arn:aws:iam::444455556666:user/maynot", "iam_allows": []}]}"#;
    let kms = start_with(|config| config.principals = Principals::parse(principals).unwrap()).await;
    let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Principal": {"AWS": ["arn:aws:iam::444455556666:user/may", "arn:aws:iam::444455556666:user/maynot"]}}});
    let shared =
        send(&kms, Draft::new("TrentService.CreateKey", &json!({"Policy": policy.to_string()})).signed()).await;
    let private = send(&kms, Draft::create_key().signed()).await;
    let describe = async |who: &str, name: &str| {
        let key = (who.to_owned(), "s".to_owned(), None);
        let draft = Draft { key, ..Draft::new("TrentService.DescribeKey", &json!({ "KeyId": name })) };
        send(&kms, draft.signed()).await
    };
    assert_eq!(describe("MAY", shared.arn()).await.arn(), shared.arn());
    assert_eq!(describe("MAYNOT", shared.arn()).await.exception().0, "AccessDeniedException");
    assert_eq!(describe("MAY", private.arn()).await.exception().0, "AccessDeniedException");
    // A bare id means a key of the caller's own account.
    let id = shared.arn().rsplit('/').next().unwrap();
    assert_eq!(describe("MAY", id).await.exception().0, "NotFoundException");
}

#[tokio::test]
async fn a_signing_key_signs_what_its_public_half_verifies_and_outlives_the_server_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let before = start_with(|config| config.state = Some(file.clone())).await;
    let signing = json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"});
    let made = send(&before, Draft::new("TrentService.CreateKey", &signing).signed()).await;
    assert_eq!(made.body["KeyMetadata"]["SigningAlgorithms"], json!(["ECDSA_SHA_384"]));
    drop(before);

    let kms = start_with(|config| config.state = Some(file.clone())).await;
    let ask = async |operation, body: Value| send(&kms, Draft::new(operation, &body).signed()).await;
    let public = ask("TrentService.GetPublicKey", json!({"KeyId": made.arn()})).await;
    let public = BASE64.decode(public.body["PublicKey"].as_str().unwrap()).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, b"message");
    for (kind, message) in [("RAW", &b"message"[..]), ("DIGEST", digest.as_ref())] {
        let body = json!({"KeyId": made.arn(), "Message": BASE64.encode(message), "MessageType": kind,
            "SigningAlgorithm": "ECDSA_SHA_384"});
        let signature = ask("TrentService.Sign", body).await.body["Signature"].clone();
        let signature = BASE64.decode(signature.as_str().unwrap()).unwrap();
        // An uncompressed point stands at the end of a SubjectPublicKeyInfo.
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, &public[public.len() - 97..]);
        assert!(key.verify(b"message", &signature).is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn keys_are_used_for_what_they_were_made_for_alone() {
    let kms = start().await;
    let ask = async |operation, body: Value| send(&kms, Draft::new(operation, &body).signed()).await;
    let signing = ask("TrentService.CreateKey", json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"})).await;
    let symmetric = ask("TrentService.CreateKey", json!({})).await;
    let sign = |key: &str, bytes: usize, kind: &str, algorithm: &str| json!({"KeyId": key, "Message": BASE64.encode(vec![1; bytes]), "MessageType": kind, "SigningAlgorithm": algorithm});
    let es384 = "ECDSA_SHA_384";
    for (operation, body, exception) in [
        ("TrentService.Encrypt", json!({"KeyId": signing.arn(), "Plaintext": "c2VjcmV0"}), "InvalidKeyUsageException"),
        (
            "TrentService.GenerateDataKey",
            json!({"KeyId": signing.arn(), "KeySpec": "AES_256"}),
            "InvalidKeyUsageException",
        ),
        ("TrentService.GetPublicKey", json!({"KeyId": symmetric.arn()}), "UnsupportedOperationException"),
        ("TrentService.Sign", sign(symmetric.arn(), 48, "DIGEST", es384), "InvalidKeyUsageException"),
        ("TrentService.Sign", sign(signing.arn(), 48, "DIGEST", "ECDSA_SHA_256"), "InvalidKeyUsageException"),
        ("TrentService.Sign", sign(signing.arn(), 32, "DIGEST", es384), "ValidationException"),
        ("TrentService.Sign", sign(signing.arn(), 0, "RAW", es384), "ValidationException"),
        ("TrentService.Sign", sign(signing.arn(), 4097, "RAW", es384), "ValidationException"),
        ("TrentService.CreateKey", json!({"KeySpec": "ECC_NIST_P384"}), "UnsupportedOperationException"),
        ("TrentService.CreateKey", json!({"KeyUsage": "SIGN_VERIFY"}), "UnsupportedOperationException"),
        ("TrentService.CreateKey", json!({"KeySpec": "RSA_2048"}), "UnsupportedOperationException"),
    ] {
        assert_eq!(ask(operation, body.clone()).await.exception().0, exception, "{operation} {body}");
    }
}

#[tokio::test]
async fn keys_and_authority_outlive_the_server_in_its_state_file() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let before = start_with(|config| config.state = Some(file.clone())).await;
    let made = send(&before, Draft::create_key().signed()).await;
    let encrypt = json!({"KeyId": made.arn(), "Plaintext": "c2VjcmV0", "EncryptionContext": {"a": "b"}});
    let encrypted = send(&before, Draft::new("TrentService.Encrypt", &encrypt).signed()).await;
    let authority = before.ca_pem.clone();
    drop(before);

    let after = start_with(|config| config.state = Some(file.clone())).await;
    assert_eq!(after.ca_pem, authority);
    let decrypt = json!({"CiphertextBlob": encrypted.body["CiphertextBlob"], "EncryptionContext": {"a": "b"}});
    let decrypted = send(&after, Draft::new("TrentService.Decrypt", &decrypt).signed()).await;
    assert_eq!(decrypted.body["Plaintext"], "c2VjcmV0");
    assert_eq!(decrypted.body["KeyId"], made.arn());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_state_file_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    for content in ["", "{}", "not JSON"] {
        std::fs::write(&file, content).unwrap();
        let mut config = Config::local(Authority::ephemeral().unwrap().root_pem());
        config.state = Some(file.clone());
        assert!(matches!(Server::start(config).await, Err(StartError::State(_))), "{content:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
    }
}

#[test]
fn a_credentials_file_that_is_not_clear_is_refused() {
    let one = |id: &str, arn: &str| {
        format!("[[principal]]\naccess_key_id = {id:?}\nsecret_access_key = \"s\"\narn = {arn:?}\n")
    };
    let role = "arn:aws:iam::111122223333:role/r";
    assert!(Principals::parse(&one("A", role)).unwrap().get("A").is_some());
    let refusal = |text: &str| Principals::parse(text).err().unwrap();
    assert!(
        matches!(refusal(&format!("{}{}", one("A", role), one("A", role))), PrincipalsError::Twice(id) if id == "A")
    );
    assert!(matches!(refusal("principal = []"), PrincipalsError::None));
    assert!(matches!(refusal("[[principle]]"), PrincipalsError::Syntax(_)));
    assert!(matches!(refusal(&format!("{}extra = 1\n", one("A", role))), PrincipalsError::Syntax(_)));
    for arn in ["arn:aws:iam::1111:role/r", "arn:aws:s3::111122223333:role/r", "role/r", ""] {
        assert!(matches!(refusal(&one("A", arn)), PrincipalsError::Arn(refused) if refused == arn));
    }
}
