//! Exams to enclaves: one exam at a time for each enclave, each on a connection of its own that was verified for it.
//!
//! An exam is taken up only by a connection that has been verified, so that none waits for an enclave that is down while another is up.
//! It is marked `sent` on disk before its first byte leaves, and its answer is kept with all that follows from it in one transaction.
//! An exam that a crash left in `sent` has no stored answer: it is sent again, under the same nonce, and delivered once.

mod ask;
mod outcome;

use std::sync::{Mutex, PoisonError};

use cloister_client::Session;
use tokio::time::sleep;

use crate::enclaves::Check;
use crate::gateway::Gateway;
use crate::worklist::{State, Work, work};
use crate::{Error, audit, limits, metric};
use outcome::Outcome;

/// The exams that are being sent now.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<Vec<i64>>);

impl InFlight {
    fn list(&self) -> Vec<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, exam: i64) -> bool {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.contains(&exam) {
            return false;
        }
        list.push(exam);
        true
    }

    fn remove(&self, exam: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != exam);
    }
}

/// Serves one enclave, for ever.
pub(crate) async fn serve(gateway: Gateway, index: usize) {
    loop {
        let waiting = match peek(&gateway).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, "the work list cannot be read");
                sleep(limits::RECHECK_INTERVAL).await;
                continue;
            }
        };
        if !waiting {
            gateway.worklist.work().await;
            continue;
        }
        let Ok((session, checks)) = gateway.enclaves.session(index).await else {
            sleep(limits::RECHECK_INTERVAL).await;
            continue;
        };
        if let Err(error) = take_up(&gateway, index, session, checks).await {
            tracing::error!(%error, "an exam could not be moved on");
            sleep(limits::RECHECK_INTERVAL).await;
        }
    }
}

/// Asks an enclave that nothing is sent to how it is, for ever.
pub(crate) async fn watch(gateway: Gateway, index: usize) {
    loop {
        gateway.enclaves.check(index).await;
        let verified = gateway.enclaves.can_send();
        sleep(if verified { limits::CHECK_INTERVAL } else { limits::RECHECK_INTERVAL }).await;
    }
}

async fn peek(gateway: &Gateway) -> Result<bool, Error> {
    let but = gateway.in_flight.list();
    Ok(gateway.worklist.with(move |list| work::next(list, &but)).await?.is_some())
}

/// Takes the next exam up, if there still is one.
async fn take_up(gateway: &Gateway, index: usize, session: Session, checks: Vec<Check>) -> Result<(), Error> {
    let but = gateway.in_flight.list();
    let Some(work) = gateway.worklist.with(move |list| work::next(list, &but)).await? else { return Ok(()) };
    if !gateway.in_flight.add(work.number) {
        return Ok(());
    }
    let done = send(gateway, index, &work, session, checks).await;
    gateway.in_flight.remove(work.number);
    gateway.worklist.announce(&work.id);
    done
}

async fn send(
    gateway: &Gateway,
    index: usize,
    work: &Work,
    mut session: Session,
    checks: Vec<Check>,
) -> Result<(), Error> {
    step(gateway, work, State::Verified).await?;
    let images = match ask::images(gateway, work).await {
        Ok(images) => images,
        Err(reason) => return outcome::settle(gateway, work, Outcome::Failed(reason)).await,
    };
    if let Some(reason) = ask::incomplete(work) {
        return outcome::settle(gateway, work, Outcome::Failed(reason)).await;
    }
    let name = gateway.enclaves.seen(index).map(|seen| seen.name).unwrap_or_default();
    gateway.audit(audit::Event::sent(&work.id, &name, &session.attested().label)).await?;
    step(gateway, work, State::Sent).await?;
    let answer = ask::ask(gateway, index, work, &mut session, images).await;
    let outcome = match answer {
        Ok(answer) => outcome::of_answer(gateway, index, work, &session, checks, name, answer).await,
        Err(error) => outcome::of_error(gateway, index, error),
    };
    outcome::settle(gateway, work, outcome).await
}

async fn step(gateway: &Gateway, work: &Work, state: State) -> Result<(), Error> {
    let number = work.number;
    gateway.worklist.with(move |list| work::moved_on(list, number, state)).await?;
    gateway.worklist.announce(&work.id);
    metric::exam(state);
    Ok(())
}
