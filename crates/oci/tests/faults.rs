//! What goes wrong between here and a registry, with a front that makes it go wrong.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloister_oci::{
    Credentials, Digest, Error, Event, Layout, Login, PullLimits, Push, Pushed, Registry, Result, Retry, Source, Taken,
};
use http::Method;
use support::front::{Fault, Front};
use support::images::three_layers;
use support::registry::{DockerRegistry, PASSWORD, USER, plain};

/// A registry, a front before it, a client of the front, and what the client told.
struct Stage {
    _docker: DockerRegistry,
    front: Front,
    registry: Registry,
    layout: Layout,
    image: Digest,
    asked: Arc<Asked>,
    retries: Arc<Mutex<Vec<(String, Duration)>>>,
}

/// Credentials that count how often they are asked for.
#[derive(Default)]
struct Asked {
    first: AtomicUsize,
    renewed: AtomicUsize,
}

#[async_trait::async_trait]
impl Credentials for Asked {
    async fn login(&self, renew: bool) -> Result<Login, Source> {
        if renew { &self.renewed } else { &self.first }.fetch_add(1, Ordering::Relaxed);
        Ok(Login { user: USER.to_owned(), password: PASSWORD.to_owned().into() })
    }
}

impl Stage {
    async fn new() -> Self {
        let docker = plain();
        let front = Front::start(docker.port()).await;
        let (asked, retries) = (Arc::new(Asked::default()), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&retries);
        let retry = Retry { tries: 3, first_pause: Duration::from_millis(10), ..Retry::default() };
        let registry = Registry::at(&front.host())
            .unwrap()
            .plain_http()
            .unwrap()
            .credentials(asked.clone())
            .retry(retry)
            .watcher(Arc::new(move |event: Event<'_>| {
                if let Event::Retry { reason, pause, .. } = event {
                    told.lock().unwrap().push((reason.to_string(), pause));
                }
            }))
            .build()
            .unwrap();
        let mut layout = Layout::temporary().unwrap();
        let image = three_layers(&mut layout, "1.0");
        Self { _docker: docker, front, registry, layout, image, asked, retries }
    }

    fn request(&self) -> Push<'_> {
        Push {
            layout: &self.layout,
            image: self.image,
            repository: "cloister/model",
            tag: Some("1.0"),
            taken: Taken::Refuse,
        }
    }

    async fn push(&self) -> Result<Pushed> {
        self.registry.push_image(&self.request()).await
    }

    fn retries(&self) -> Vec<(String, Duration)> {
        self.retries.lock().unwrap().clone()
    }

    /// Bytes of all blobs.
    fn total(&self) -> u64 {
        let manifest = self.layout.manifest(&self.image).unwrap();
        manifest.config.size + manifest.layers.iter().map(|layer| layer.size).sum::<u64>()
    }
}

const UPLOAD: &str = "/blobs/uploads/";

#[tokio::test]
async fn an_interrupted_push_goes_on_without_the_blobs_that_are_there() {
    let stage = Stage::new().await;
    // The configuration and the first layer pass; the big layer breaks in its middle as often as it is tried.
    for _ in 0..2 {
        stage.front.fault(Method::PUT, UPLOAD, 1, Fault::Headers(vec![]));
    }
    stage.front.fault(Method::PUT, UPLOAD, 3, Fault::CutRequest(1 << 20));
    let error = stage.push().await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error}");
    assert_eq!(stage.retries().len(), 2);
    assert_eq!(stage.registry.resolve("cloister/model", "1.0").await.unwrap(), None);

    stage.front.clear();
    let pushed = stage.push().await.unwrap();
    assert_eq!((pushed.present, pushed.sent), (2, 2));
    let manifest = stage.layout.manifest(&stage.image).unwrap();
    assert_eq!(stage.front.uploaded(), stage.total() - manifest.config.size - manifest.layers[0].size);
    assert_eq!(stage.registry.resolve("cloister/model", "1.0").await.unwrap(), Some(stage.image));
}

#[tokio::test]
async fn a_connection_cut_in_a_blob_is_made_again() {
    let stage = Stage::new().await;
    stage.front.fault(Method::PUT, UPLOAD, 1, Fault::CutRequest(1));
    let pushed = stage.push().await.unwrap();
    assert_eq!(pushed.sent, 4);
    assert_eq!(stage.retries().len(), 1);
    assert!(stage.retries()[0].0.contains("broke"), "{:?}", stage.retries());

    let mut back = Layout::temporary().unwrap();
    stage.front.fault(Method::GET, "/blobs/", 1, Fault::CutAnswer(100));
    stage.registry.pull_image("cloister/model", "1.0", &mut back, PullLimits::default()).await.unwrap();
    assert_eq!(stage.retries().len(), 2);
    // What a second pull has already, it does not fetch.
    stage.front.clear();
    stage.registry.pull_image("cloister/model", "1.0", &mut back, PullLimits::default()).await.unwrap();
    assert!(stage.front.seen().iter().all(|seen| !seen.path.contains("/blobs/")));
}

#[tokio::test]
async fn a_registry_that_is_asked_too_much_is_left_alone_for_as_long_as_it_says() {
    let stage = Stage::new().await;
    let later = |seconds: &str| Fault::Answer(429, vec![("retry-after", seconds.to_owned())], "");
    stage.front.fault(Method::POST, UPLOAD, 1, later("1"));
    stage.front.fault(Method::PUT, "/manifests/", 1, Fault::Answer(503, vec![], "sorry"));
    stage.push().await.unwrap();
    let retries = stage.retries();
    assert_eq!(retries.len(), 2, "{retries:?}");
    assert!(retries[0].1 >= Duration::from_secs(1) && retries[0].0.contains("too much"), "{retries:?}");
    assert!(retries[1].1 < Duration::from_secs(1) && retries[1].0.contains("503"), "{retries:?}");

    // An hour is not waited for.
    stage.front.fault(Method::HEAD, "/manifests/", 1, later("3600"));
    let error = stage.push().await.unwrap_err();
    assert!(matches!(error, Error::Throttled { retry_after: Some(after), .. } if after.as_secs() == 3600), "{error}");
    stage.front.fault(Method::HEAD, "/manifests/", 9, Fault::Answer(503, vec![], ""));
    let error = stage.push().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { status: 503, .. }), "{error}");
}

const EXPIRED: &str =
    r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#;

#[tokio::test]
async fn an_expired_token_is_fetched_anew_in_the_middle_of_a_push() {
    let stage = Stage::new().await;
    stage.front.fault(Method::PUT, UPLOAD, 1, Fault::Headers(vec![]));
    stage.front.fault(Method::PUT, UPLOAD, 1, Fault::Answer(403, vec![], EXPIRED));
    stage.front.fault(Method::HEAD, "/blobs/", 1, Fault::Headers(vec![]));
    stage.front.fault(Method::HEAD, "/blobs/", 1, Fault::Answer(403, vec![], ""));
    assert_eq!(stage.push().await.unwrap().sent, 4);
    assert_eq!(stage.asked.first.load(Ordering::Relaxed), 1);
    assert_eq!(stage.asked.renewed.load(Ordering::Relaxed), 2);
    assert!(stage.retries().is_empty());
}

#[tokio::test]
async fn a_token_that_stays_expired_is_said_to_be() {
    let stage = Stage::new().await;
    stage.front.fault(Method::POST, UPLOAD, 9, Fault::Answer(403, vec![], EXPIRED));
    let error = stage.push().await.unwrap_err();
    assert!(matches!(error, Error::Expired { .. }), "{error}");
    assert_eq!(stage.asked.renewed.load(Ordering::Relaxed), 1);
    stage.front.clear();
    let denied =
        r#"{"errors":[{"code":"DENIED","message":"User: x is not authorized to perform: ecr:InitiateLayerUpload"}]}"#;
    stage.front.fault(Method::POST, UPLOAD, 9, Fault::Answer(403, vec![], denied));
    let error = stage.push().await.unwrap_err();
    assert!(matches!(&error, Error::NotAuthorised { detail, .. } if detail.contains("InitiateLayerUpload")), "{error}");
}

#[tokio::test]
async fn an_immutable_tag_is_no_error_when_it_is_this_image() {
    let stage = Stage::new().await;
    let refusal = r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1.0' already exists in the 'cloister/model' repository and cannot be overwritten because the repository is immutable."}]}"#;
    stage.front.fault(Method::PUT, "/manifests/", 1, Fault::Answer(400, vec![], refusal));
    let error = stage.push().await.unwrap_err();
    assert!(
        matches!(&error, Error::TagImmutable { tag, repository, .. } if tag == "1.0" && repository == "cloister/model"),
        "{error}"
    );

    stage.push().await.unwrap();
    // The first look does not see it, as when two publish at once.
    stage.front.fault(Method::HEAD, "/manifests/", 1, Fault::Answer(404, vec![], ""));
    stage.front.fault(Method::PUT, "/manifests/", 1, Fault::Answer(400, vec![], refusal));
    assert!(!stage.push().await.unwrap().already);
}

#[tokio::test]
async fn a_wrong_digest_in_an_answer_is_refused() {
    let stage = Stage::new().await;
    let other = Digest::of(b"other");
    let reported = Fault::Headers(vec![("docker-content-digest", other.to_string())]);
    stage.front.fault(Method::GET, "/manifests/", 1, reported.clone());
    let error = stage.push().await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { found, .. } if found == other), "{error}");

    stage.push().await.unwrap();
    for (part, fault) in [("/manifests/", reported), ("/manifests/", Fault::Spoil), ("/blobs/", Fault::Spoil)] {
        let mut back = Layout::temporary().unwrap();
        stage.front.fault(Method::GET, part, 1, fault);
        let pulled = stage.registry.pull_image("cloister/model", "1.0", &mut back, PullLimits::default()).await;
        assert!(matches!(pulled, Err(Error::DigestMismatch { .. })), "{pulled:?}");
    }
}

#[tokio::test]
async fn missing_blobs_and_repositories_have_their_own_errors() {
    let stage = Stage::new().await;
    let missing = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
    stage.front.fault(Method::PUT, "/manifests/", 1, Fault::Answer(400, vec![], missing));
    let error = stage.push().await.unwrap_err();
    assert!(matches!(error, Error::ManifestIncomplete { .. }), "{error}");
    let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name 'cloister/model' does not exist in the registry with id '123456789012'"}]}"#;
    stage.layout.manifest(&stage.image).unwrap();
    stage.front.fault(Method::HEAD, "/blobs/", 1, Fault::Answer(404, vec![], ""));
    stage.front.fault(Method::POST, UPLOAD, 1, Fault::Answer(404, vec![], unknown));
    let error = stage.push().await.unwrap_err();
    assert!(matches!(&error, Error::RepositoryUnknown { repository, .. } if repository == "cloister/model"), "{error}");
}

#[tokio::test]
async fn a_token_of_a_service_is_fetched_for_each_scope() {
    let stage = Stage::new().await;
    let realm =
        format!("Bearer realm=\"http://{}/token\",service=\"r\",scope=\"repository:x:pull\"", stage.front.host());
    stage.front.fault(Method::HEAD, "/manifests/", 1, Fault::Answer(401, vec![("www-authenticate", realm)], ""));
    stage.front.fault(Method::GET, "/token", 1, Fault::Answer(200, vec![], r#"{"token":"abc"}"#));
    let digest = vec![("docker-content-digest", stage.image.to_string())];
    stage.front.fault(Method::HEAD, "/manifests/", 1, Fault::Answer(200, digest, ""));
    assert_eq!(stage.registry.resolve("a/b", "1").await.unwrap(), Some(stage.image));
    let seen = stage.front.seen();
    assert_eq!(seen[1].path, "/token?service=r&scope=repository%3Aa%2Fb%3Apull");
    assert_eq!(seen.iter().map(|seen| seen.authorized).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test]
async fn a_token_that_everybody_gets_is_fetched_anew_when_it_expires() {
    let front = Front::start(1).await;
    let registry = Registry::at(&front.host()).unwrap().plain_http().unwrap().build().unwrap();
    let realm = format!("Bearer realm=\"http://{}/token\"", front.host());
    let unauthorized = Fault::Answer(401, vec![("www-authenticate", realm)], "");
    let digest = Digest::of(b"");
    let found = Fault::Answer(200, vec![("docker-content-digest", digest.to_string())], "");
    front.fault(Method::GET, "/token", 2, Fault::Answer(200, vec![], r#"{"access_token":"abc"}"#));
    for fault in [&unauthorized, &found, &unauthorized, &found, &unauthorized] {
        front.fault(Method::HEAD, "/manifests/", 1, fault.clone());
    }
    for _ in 0..2 {
        assert_eq!(registry.resolve("a/b", "1").await.unwrap(), Some(digest));
    }
    assert_eq!(front.seen().iter().filter(|seen| seen.path.starts_with("/token")).count(), 2);
}

#[tokio::test]
async fn an_answer_before_the_blob_is_whole_is_no_end() {
    let stage = Stage::new().await;
    // The big layer is the third.
    for _ in 0..2 {
        stage.front.fault(Method::PUT, UPLOAD, 1, Fault::Headers(vec![]));
    }
    for status in [429, 403] {
        stage.front.fault(Method::PUT, UPLOAD, 1, Fault::Early(status));
    }
    assert_eq!(stage.push().await.unwrap().sent, 4);
}

#[tokio::test]
async fn a_forgotten_upload_begins_again() {
    let stage = Stage::new().await;
    let forgotten = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}"#;
    stage.front.fault(Method::PUT, UPLOAD, 1, Fault::Answer(404, vec![], forgotten));
    assert_eq!(stage.push().await.unwrap().sent, 4);
    assert_eq!(stage.retries().len(), 1);
}

#[test]
fn what_a_registry_does_may_be_done_on_any_thread() {
    fn sendable<T: Send>(_: impl FnOnce(&'static Registry, &'static Push<'static>, &'static mut Layout) -> T) {}
    sendable(|registry, push, _| registry.push_image(push));
    sendable(|registry, _, layout| registry.pull_image("a", "b", layout, PullLimits::default()));
}

#[tokio::test]
async fn another_host_gets_no_credentials() {
    let stage = Stage::new().await;
    stage.push().await.unwrap();
    let store = Front::start(1).await;
    let manifest = stage.layout.manifest(&stage.image).unwrap();
    let location = vec![("location", format!("http://{}/store/x?signature=1", store.host()))];
    stage.front.fault(Method::GET, &manifest.config.digest.to_string(), 1, Fault::Answer(307, location, ""));
    store.fault(Method::GET, "/store/x", 1, Fault::Answer(200, vec![], "not it"));
    let mut back = Layout::temporary().unwrap();
    let pulled = stage.registry.pull_image("cloister/model", "1.0", &mut back, PullLimits::default()).await;
    assert!(matches!(pulled, Err(Error::SizeMismatch { found: 6, .. })), "{pulled:?}");
    assert!(!store.seen()[0].authorized);
}
