//! The list of enclaves as it changes: read again on SIGHUP, with an endpoint for each new one, until those that drain are over.

use std::path::PathBuf;
use std::sync::Arc;

use cloister_transport::{Address, Listener};
use tokio::signal::unix::Signal;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Endpoint, bind_control, check_model, serve_enclaves};
use crate::control::Control;
use crate::credentials::Source;
use crate::enclave::{Enclave, Over};
use crate::enclaves::{Described, Enclaves, read};
use crate::{Error, limits};

/// What keeps the list.
pub(super) struct List {
    pub(super) file: Option<PathBuf>,
    /// The control endpoint for all, where there is one.
    pub(super) shared: Option<Address>,
    pub(super) enclaves: Arc<Enclaves>,
    pub(super) credentials: Arc<Source>,
    pub(super) stopping: CancellationToken,
}

/// The control endpoints that enclaves have of their own, each until its enclave is forgotten.
#[derive(Default)]
struct Own {
    tasks: JoinSet<()>,
    ends: Vec<(Arc<Enclave>, CancellationToken)>,
}

impl List {
    /// Keeps the list until the process ends. At each of `hangups` it is read again.
    pub(super) async fn keep(self, bound: Vec<(Arc<Enclave>, Listener)>, mut hangups: Signal) {
        let mut own = Own::default();
        for (enclave, listener) in bound {
            self.serve(&mut own, enclave, listener);
        }
        let mut check = tokio::time::interval(limits::DRAIN_CHECK);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => break,
                Some(()) = hangups.recv() => {
                    if let Err(error) = self.read_again(&mut own).await {
                        tracing::error!(%error, "the list of enclaves stays as it was");
                    }
                }
                _ = check.tick() => self.forget_drained(&mut own).await,
            }
        }
        while own.tasks.join_next().await.is_some() {}
    }

    fn serve(&self, own: &mut Own, enclave: Arc<Enclave>, listener: Listener) {
        let end = self.stopping.child_token();
        let endpoint = Endpoint::new(Control::new(self.credentials.clone(), enclave.clone()));
        own.ends.push((enclave, end.clone()));
        own.tasks.spawn(async move { serve_enclaves(listener, |_| Some(endpoint.clone()), &end).await });
    }

    /// Reads the file again, and puts it in force if all of it can be.
    async fn read_again(&self, own: &mut Own) -> Result<(), Error> {
        let Some(file) = &self.file else {
            tracing::warn!("there is no list of enclaves to read again: it is given by --enclaves");
            return Ok(());
        };
        let listed = read(file, self.shared.as_ref())?;
        self.enclaves.check_beside(&listed)?;
        listed.iter().try_for_each(|described| check_model(&described.model))?;
        // Bound before anything is changed, because it can fail.
        let mut bound = Vec::new();
        for described in listed.iter().filter(|described| !self.is_known(described)) {
            if let Some(address) = &described.control {
                bound.push((described.clone(), bind_control(address).await?));
            }
        }
        let changes = self.enclaves.replace(listed);
        for enclave in changes.draining {
            tracing::info!(enclave = enclave.name(), clients = enclave.relayed(), "drains: it gets no new clients");
        }
        for enclave in changes.resumed {
            tracing::info!(enclave = enclave.name(), "is listed again and drains no more");
        }
        for enclave in changes.added {
            tracing::info!(enclave = enclave.name(), address = %enclave.described.address, "is listed");
            if let Some(place) = bound.iter().position(|(described, _)| *described == enclave.described) {
                let (_, listener) = bound.swap_remove(place);
                self.serve(own, enclave, listener);
            }
        }
        Ok(())
    }

    fn is_known(&self, described: &Described) -> bool {
        self.enclaves.all().iter().any(|known| known.described.is_same(described))
    }

    async fn forget_drained(&self, own: &mut Own) {
        for enclave in self.enclaves.all() {
            if let Some(over) = enclave.is_over(limits::DRAIN_LONGEST).await {
                match over {
                    Over::Ended => tracing::info!(enclave = enclave.name(), "has drained and ended"),
                    Over::Late => {
                        tracing::warn!(enclave = enclave.name(), "has drained and did not end: it is forgotten")
                    }
                }
                self.enclaves.forget(&enclave);
                own.ends.retain(|(known, end)| {
                    let over = Arc::ptr_eq(known, &enclave);
                    if over {
                        end.cancel();
                    }
                    !over
                });
            }
        }
        while own.tasks.try_join_next().is_some() {}
    }
}
