//! Everything that the parts of a gateway share.

use std::net::IpAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Mutex, Semaphore};

use crate::access::{Access, Denied};
use crate::audit::{Audit, Event};
use crate::config::Config;
use crate::delivery::{Pacs, Target};
use crate::dispatch::InFlight;
use crate::enclaves::Pool;
use crate::http::Streams;
use crate::spool::Spool;
use crate::worklist::{OperatingPoint, Worklist, deliveries, reading};
use crate::{Error, files, limits};

/// The work list's name in the gateway's folder.
const WORKLIST: &str = "worklist.sqlite";

/// The spool's.
const SPOOL: &str = "spool";

/// The lock's: one gateway a folder.
const LOCK: &str = "lock";

/// A gateway, shared.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<Shared>);

/// What is in it.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) worklist: Worklist,
    pub(crate) spool: Spool,
    pub(crate) enclaves: Pool,
    pub(crate) access: Access,
    pub(crate) pacs: Option<Arc<Pacs>>,
    pub(crate) in_flight: InFlight,
    /// One image at a time finds the exam that it belongs to.
    pub(crate) gathering: Mutex<()>,
    /// Exams that are coming in.
    pub(crate) uploads: Arc<Semaphore>,
    /// Files that are being looked at.
    pub(crate) reading: Arc<Semaphore>,
    pub(crate) streams: Streams,
    pub(crate) metrics: PrometheusHandle,
    audit: Audit,
    _lock: std::fs::File,
}

impl Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Gateway {
    /// Opens all that is on disk, and reads all that the configuration names.
    pub(crate) async fn open(config: Config, metrics: PrometheusHandle) -> Result<Self, Error> {
        config.check()?;
        if config.intake.folder.as_ref().is_some_and(|folder| !folder.path.is_dir()) {
            return Err(Error::Unfit("the path of [intake.folder] is no folder"));
        }
        let enclaves = Pool::new(&config)?;
        let access = Access::new(&config)?;
        let pacs = config.delivery.pacs.as_ref().map(Pacs::new).transpose()?.map(Arc::new);
        files::folder(&config.data)?;
        let lock = lock(&config.data)?;
        let worklist = Worklist::open(&config.data.join(WORKLIST))?;
        let known = worklist.with(|list| reading::identifiers(list)).await?;
        let spool = Spool::open(&config.data.join(SPOOL), &known)?;
        let audit = Audit::open(&config.data, worklist.clone()).await?;
        let gateway = Self(Arc::new(Shared {
            config,
            worklist,
            spool,
            enclaves,
            access,
            pacs,
            in_flight: InFlight::default(),
            gathering: Mutex::default(),
            uploads: Arc::new(Semaphore::new(limits::MAX_UPLOADS)),
            reading: Arc::new(Semaphore::new(limits::MAX_READING)),
            streams: Streams::default(),
            metrics,
            audit,
            _lock: lock,
        }));
        gateway.audit(Event::started()).await?;
        let targets = gateway.targets();
        let forgotten = gateway.worklist.with(move |list| deliveries::forget_others(list, &targets)).await?;
        if forgotten > 0 {
            tracing::warn!(forgotten, "results were to go where the configuration sends nothing any more");
        }
        Ok(gateway)
    }

    /// Writes an event down, before what it tells of goes on.
    pub(crate) async fn audit(&self, event: Event) -> Result<(), Error> {
        self.audit.write(event).await
    }

    /// Writes down that somebody was not let in, unless that has been written often enough.
    pub(crate) async fn sign_in_refused(&self, denied: Denied, from: Option<IpAddr>) -> Result<(), Error> {
        match self.access.refused(denied, from) {
            Some(event) => self.audit(event).await,
            None => Ok(()),
        }
    }

    /// The audit log's head.
    pub(crate) fn audit_head(&self) -> crate::audit::Head {
        self.audit.head()
    }

    /// Where results go, as the work list has it.
    pub(crate) fn targets(&self) -> Vec<&'static str> {
        Target::all(self).iter().map(Target::name).collect()
    }

    /// What scores are held against.
    pub(crate) fn point(&self) -> OperatingPoint {
        let point = &self.config.exams.operating_point;
        OperatingPoint { label: point.label.clone(), malignant: point.malignant, name: point.name.clone() }
    }

    /// The sentence of every page.
    pub(crate) fn notice(&self) -> Option<String> {
        let simulated = !self.enclaves.policy().root().is_amazon();
        let words = "The enclaves are simulated: this shows the protocol and keeps nothing secret.";
        self.config.notice.clone().or_else(|| simulated.then(|| words.to_owned()))
    }
}

/// Takes the folder, until the process ends, however it does.
fn lock(folder: &Path) -> Result<std::fs::File, Error> {
    let path = folder.join(LOCK);
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(Error::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Taken(folder.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::file(&path)(error)),
    }
}
