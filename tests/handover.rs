//! One model takes over from another while clients work: no request is lost, and each client knows which model answered it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use cloister_attest::Policy;
use cloister_client::{Error, Options, Session, connect};
use cloister_imaging::View;
use cloister_tests::{EnclaveSetup, Front, Setup, World, demo_package_of_version, image};
use tempfile::TempDir;

/// How long the whole may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who answered, by the label of the policy's entry, and how often.
type Answers = BTreeMap<String, usize>;

/// What one client does until it is told to stop.
struct Client<'a> {
    world: &'a World,
    policy: &'a Policy,
    stop: &'a AtomicBool,
    png: Vec<u8>,
}

impl Client<'_> {
    async fn session(&self) -> Session {
        connect(&self.world.server, Options::default())
            .await
            .expect("a connection")
            .verify(self.policy, SystemTime::now())
            .await
            .expect("a verified enclave")
    }

    async fn ask(&self, session: &mut Session, answers: &mut Answers) -> Result<(), Error> {
        let answer = session.classify(self.png.clone(), View::LCc, Some(1), None).await?;
        let label = session.attested().label.clone();
        let version = answer.model.expect("a model").version;
        assert_eq!(label == "the new one", version == 2, "{label} answered with version {version}");
        *answers.entry(label).or_default() += 1;
        Ok(())
    }

    /// A connection for each request, as the command line makes.
    async fn by_connection(&self) -> Answers {
        let mut answers = Answers::new();
        while !self.stop.load(Ordering::Relaxed) {
            let mut session = self.session().await;
            self.ask(&mut session, &mut answers).await.expect("an answer");
        }
        answers
    }

    /// One connection for as long as the enclave keeps it, as a gateway does. When the enclave closed it with its last answer, the
    /// next request goes over another, and nothing was lost.
    async fn by_session(&self) -> Answers {
        let mut answers = Answers::new();
        while !self.stop.load(Ordering::Relaxed) {
            let mut session = self.session().await;
            while !self.stop.load(Ordering::Relaxed) && session.is_open() {
                self.ask(&mut session, &mut answers).await.expect("an answer");
                // The enclave's goodbye is read by the connection's task.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        answers
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_model_takes_over_under_load_and_no_request_is_lost() {
    let folder = TempDir::new().unwrap();
    let new = demo_package_of_version(folder.path(), 2);
    let mut world = World::ready(Setup { listed: true, ..Setup::default() }).await;
    let (mut second, policy) = world.start_beside(&EnclaveSetup::default(), &new);
    let stop = AtomicBool::new(false);
    let answers = {
        let client = || Client { world: &world, policy: &policy, stop: &stop, png: image(View::LCc, 3) };
        let clients = [client(), client(), client(), client()];
        let load = async {
            let [a, b, c, d] = &clients;
            let (a, b, c, d) = tokio::join!(a.by_connection(), b.by_connection(), c.by_session(), d.by_session());
            [a, b, c, d]
        };
        // Whoever only asks how the enclave is over a connection that is kept gets its goodbye as well.
        let mut prober = Front::connect(&world.server).await;
        let handover = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            await_words(&world, "enclave=\"by-control-2\"", "event=\"ready\"").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.unlist_first();
            let end = Instant::now() + PATIENCE;
            while prober.is_open() {
                assert!(Instant::now() < end, "the prober keeps the old one alive");
                assert_eq!(prober.get("/healthz").await.status, 200);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            await_words(&world, "enclave=\"by-control\"", "has drained and ended").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(load, handover).0
    };
    for (client, answers) in answers.iter().enumerate() {
        let old = answers.get("the image under test").copied().unwrap_or_default();
        let new = answers.get("the new one").copied().unwrap_or_default();
        assert!(old > 0 && new > 0, "client {client}: {answers:?}");
    }
    assert_eq!(world.enclave.process.ended(), Some(0), "the old one ended by itself and in order");
    assert!(world.enclave.process.words().contains("draining"), "{}", world.enclave.process.words());
    assert_eq!(second.process.terminate(), Some(0));
}

/// Waits for a line of the parent's log that holds both.
async fn await_words(world: &World, one: &str, other: &str) {
    let end = Instant::now() + PATIENCE;
    while !world.parent.words().lines().any(|line| line.contains(one) && line.contains(other)) {
        assert!(Instant::now() < end, "never {one} {other}:\n{}", world.parent.words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pins_the_old_model_alone_is_refused_by_the_new_one_and_sends_nothing() {
    let folder = TempDir::new().unwrap();
    let new = demo_package_of_version(folder.path(), 2);
    let world = World::ready(Setup { listed: true, ..Setup::default() }).await;
    let (_second, both) = world.start_beside(&EnclaveSetup::default(), &new);
    let end = Instant::now() + PATIENCE;
    while world.session_with(&both).await.attested().label != "the new one" {
        assert!(Instant::now() < end, "the new one never took over:\n{}", world.parent.words());
    }
    let refused = world.try_session(&world.policy).await.err().unwrap();
    assert!(matches!(refused, Error::NotVerified(cloister_attest::Error::WrongPcr { .. })), "{refused}");
}
