//! The enclaves that there are: usually one; two while a new model takes over from an old one. The one that was listed last and is ready
//! gets new clients; one that is no longer listed drains.

mod file;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use cloister_transport::{ANY_CID, Address, Peer};
use metrics::gauge;
use tokio::task::JoinSet;

use crate::enclave::{Enclave, NotReady};
use crate::{limits, metrics as names};

pub(crate) use file::check;
pub use file::{Described, ListError, Value, read};

/// All enclaves, those that drain among them.
pub(crate) struct Enclaves {
    members: RwLock<Vec<Arc<Enclave>>>,
    stopping: AtomicBool,
}

/// What a new list changed.
pub(crate) struct Changes {
    pub(crate) added: Vec<Arc<Enclave>>,
    pub(crate) draining: Vec<Arc<Enclave>>,
    /// They drained, and are listed again.
    pub(crate) resumed: Vec<Arc<Enclave>>,
}

impl Enclaves {
    pub(crate) fn new(described: Vec<Described>) -> Self {
        let members = described.into_iter().map(|described| Arc::new(Enclave::new(described))).collect();
        Self { members: RwLock::new(members), stopping: AtomicBool::new(false) }
    }

    /// All of them, in the list's order.
    pub(crate) fn all(&self) -> Vec<Arc<Enclave>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether another list can be put in force beside what still drains then.
    ///
    /// # Errors
    /// [`ListError`], naming the enclave.
    pub(crate) fn check_beside(&self, listed: &[Described]) -> Result<(), ListError> {
        let members = self.all();
        let leaves = |member: &&Arc<Enclave>| !listed.iter().any(|described| described.is_same(&member.described));
        let leaving: Vec<_> = members.iter().filter(leaves).collect();
        let together = listed.len() + leaving.len();
        if together > limits::MAX_ENCLAVES {
            return Err(ListError::Count(together));
        }
        let clashes = |described: &&Described| leaving.iter().any(|member| member.described.clashes(described));
        match listed.iter().find(clashes) {
            Some(Described { name, .. }) => Err(ListError::Enclave {
                name: name.clone(),
                problem: "has an address, a control endpoint or a CID of one that is to drain: it can be listed when that has ended",
            }),
            None => Ok(()),
        }
    }

    /// Puts another list in force. Those that are described as before go on as they were, but for what they are to set; those that are
    /// gone, or described otherwise, drain.
    pub(crate) fn replace(&self, listed: Vec<Described>) -> Changes {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Changes { added: Vec::new(), draining: Vec::new(), resumed: Vec::new() };
        let mut next = Vec::new();
        for described in listed {
            let enclave = match members.iter().find(|member| member.described.is_same(&described)) {
                Some(kept) => {
                    kept.set_anew(described.set);
                    if kept.resume() {
                        changes.resumed.push(Arc::clone(kept));
                    }
                    Arc::clone(kept)
                }
                None => {
                    let added = Arc::new(Enclave::new(described));
                    changes.added.push(Arc::clone(&added));
                    added
                }
            };
            next.push(enclave);
        }
        // In front, where they are least preferred and still known to the control endpoint.
        for gone in members.iter().filter(|member| !next.iter().any(|kept| Arc::ptr_eq(kept, member))) {
            if !gone.drains() {
                gone.drain();
                changes.draining.push(Arc::clone(gone));
            }
        }
        let drains = |member: &&Arc<Enclave>| member.drains();
        let mut drained: Vec<_> = members.iter().filter(drains).cloned().collect();
        drained.append(&mut next);
        *members = drained;
        changes
    }

    /// Takes one off that has drained.
    pub(crate) fn forget(&self, over: &Arc<Enclave>) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| !Arc::ptr_eq(member, over));
        if !members.iter().any(|member| member.name() == over.name()) {
            gauge!(names::ENCLAVE_READY, "enclave" => over.name().to_owned()).set(0.0);
        }
    }

    /// Where a new client goes, in the order in which to try: those that say they are ready and were not missed just now, the last
    /// listed first; then the others, whose own words say best why they do not serve. None that drains.
    pub(crate) fn for_client(&self) -> Vec<Arc<Enclave>> {
        let all = self.all();
        let open = || all.iter().rev().filter(|member| !member.drains()).cloned();
        let (mut ready, mut others) = (Vec::new(), Vec::new());
        open().for_each(|member| if member.is_promising() { ready.push(member) } else { others.push(member) });
        ready.append(&mut others);
        ready
    }

    /// The enclave that a connection to the shared control endpoint comes from, as far as the transport can tell: on vsock every
    /// virtual machine of the host can connect, and the credentials are for those that are listed.
    pub(crate) fn of(&self, peer: &Peer) -> Option<Arc<Enclave>> {
        let shared = self.all().into_iter().filter(|member| member.described.control.is_none());
        shared.into_iter().find(|member| may_ask(&member.described.address, peer))
    }

    /// From now on no client should come, whatever the enclaves say.
    pub(crate) fn parent_stops(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether clients may come: any enclave that does not drain is ready. Else why the preferred one is not.
    pub(crate) async fn readiness(&self) -> Result<(), NotReady> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(NotReady::ParentStopping);
        }
        let mut asked = JoinSet::new();
        for (place, enclave) in self.for_client().into_iter().enumerate() {
            asked.spawn(async move { (place, enclave.readiness().await) });
        }
        let mut reasons = BTreeMap::new();
        // All at once: one whose port is silent holds up nobody who asks about the others.
        while let Some(Ok((place, readiness))) = asked.join_next().await {
            match readiness {
                Ok(()) => return Ok(()),
                Err(not_ready) => reasons.insert(place, not_ready),
            };
        }
        Err(reasons.into_values().next().unwrap_or(NotReady::Draining))
    }
}

fn may_ask(enclave: &Address, peer: &Peer) -> bool {
    match (enclave, peer) {
        (Address::Vsock { cid: ANY_CID, .. }, Peer::Vsock { .. }) => true,
        (Address::Vsock { cid, .. }, Peer::Vsock { cid: asking, .. }) => cid == asking,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::enclave::{Phase, Said};

    fn described(name: &str, address: &str) -> Described {
        Described {
            name: name.to_owned(),
            address: address.parse().unwrap(),
            model: "/model".into(),
            control: None,
            set: Default::default(),
        }
    }

    fn names(enclaves: &[Arc<Enclave>]) -> Vec<&str> {
        enclaves.iter().map(|enclave| enclave.name()).collect()
    }

    fn ready(enclaves: &Enclaves, name: &str) {
        let all = enclaves.all();
        let enclave = all.iter().find(|enclave| enclave.name() == name).unwrap();
        enclave.says(Said { phase: Phase::Ready, detail: None, at: Instant::now() });
    }

    #[test]
    fn the_last_listed_that_is_ready_comes_first_and_what_drains_not_at_all() {
        let [old, new] = [described("old", "vsock://16:5000"), described("new", "vsock://17:5000")];
        let enclaves = Enclaves::new(vec![old.clone()]);
        ready(&enclaves, "old");
        let changes = enclaves.replace(vec![old, new.clone()]);
        assert_eq!((names(&changes.added), changes.draining.len()), (vec!["new"], 0));
        assert_eq!(names(&enclaves.for_client()), ["old", "new"], "the new one is not ready yet");
        ready(&enclaves, "new");
        assert_eq!(names(&enclaves.for_client()), ["new", "old"]);
        let changes = enclaves.replace(vec![new]);
        assert_eq!((changes.added.len(), names(&changes.draining)), (0, vec!["old"]));
        assert_eq!(names(&enclaves.for_client()), ["new"]);
        assert_eq!(names(&enclaves.all()), ["old", "new"], "it is known until it has drained");
        assert!(enclaves.replace(vec![]).draining.iter().all(|enclave| enclave.name() == "new"), "once is enough");
    }

    #[test]
    fn one_that_is_described_otherwise_is_another() {
        let enclaves = Enclaves::new(vec![described("it", "vsock://16:5000")]);
        let changes = enclaves.replace(vec![described("it", "vsock://17:5000")]);
        assert_eq!((names(&changes.added), names(&changes.draining)), (vec!["it"], vec!["it"]));
    }

    #[test]
    fn one_that_is_listed_again_takes_clients_again_and_what_it_is_to_set_may_change() {
        let [old, mut new] = [described("old", "vsock://16:5000"), described("new", "vsock://17:5000")];
        let enclaves = Enclaves::new(vec![old.clone(), new.clone()]);
        enclaves.replace(vec![new.clone()]);
        new.set.insert("queue".to_owned(), Value::Number(3));
        assert!(enclaves.check_beside(&[new.clone(), old.clone()]).is_ok());
        let changes = enclaves.replace(vec![new.clone(), old]);
        assert_eq!((names(&changes.resumed), changes.added.len(), changes.draining.len()), (vec!["old"], 0, 0));
        let for_client = enclaves.for_client();
        assert_eq!(names(&for_client), ["old", "new"]);
        assert_eq!((for_client[0].set().len(), for_client[1].set()), (0, new.set));
    }

    #[test]
    fn nothing_is_put_where_another_still_drains() {
        let old = described("old", "vsock://16:5000");
        let enclaves = Enclaves::new(vec![old.clone(), described("new", "vsock://17:5000")]);
        enclaves.replace(vec![described("new", "vsock://17:5000")]);
        let with_model = Described { model: "/other".into(), ..old.clone() };
        let elsewhere =
            Described { control: Some("unix:///c".parse().unwrap()), ..described("next", "vsock://16:5000") };
        for other in [with_model, described("next", "vsock://16:6000"), described("next", "unix:///e"), elsewhere] {
            let refused = enclaves.check_beside(&[described("new", "vsock://17:5000"), other]).unwrap_err();
            assert!(refused.to_string().contains("of one that is to drain"), "{refused}");
        }
        assert!(enclaves.check_beside(&[described("next", "vsock://18:5000")]).is_ok());
        let most: Vec<_> = (20..28).map(|cid| described("it", &format!("vsock://{cid}:1"))).collect();
        assert!(matches!(enclaves.check_beside(&most), Err(ListError::Count(10))));
    }

    #[test]
    fn on_vsock_each_enclave_is_known_by_its_own_number_and_nobody_else_may_ask() {
        let enclaves =
            Enclaves::new(vec![described("sixteen", "vsock://16:5000"), described("seventeen", "vsock://17:5000")]);
        let asking = |cid| enclaves.of(&Peer::Vsock { cid, port: 700 }).map(|enclave| enclave.name().to_owned());
        assert_eq!(asking(16).as_deref(), Some("sixteen"));
        assert_eq!(asking(17).as_deref(), Some("seventeen"));
        assert_eq!(asking(18), None);
        enclaves.replace(vec![described("seventeen", "vsock://17:5000")]);
        assert_eq!(asking(16).as_deref(), Some("sixteen"), "it drains, and is to hear that it should end");
        let single = Enclaves::new(vec![described("it", "unix:///enclave")]);
        assert!(single.of(&Peer::Unix).is_some());
    }
}
