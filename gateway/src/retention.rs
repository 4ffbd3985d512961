//! What is deleted when: images once they have been delivered, exams after their days. The audit log keeps that they were.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use crate::audit::{Agent, Event};
use crate::gateway::Gateway;
use crate::times::{Millis, now, span};
use crate::worklist::work;
use crate::{Error, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Exams whose images the work list has no more, and the disk may still have: a crash or the disk came between.
type Owed = BTreeSet<String>;

/// Deletes what is due, for ever.
pub(crate) async fn serve(gateway: Gateway) {
    let mut changes = gateway.worklist.changes();
    let mut owed = None;
    loop {
        if let Err(error) = one_look(&gateway, &mut owed).await {
            tracing::error!(%error, "what is due cannot be deleted");
        }
        // A delivery may be what makes images due; too many changes to be told of are a change too.
        let _ = tokio::time::timeout(limits::RETENTION_INTERVAL, changes.recv()).await;
        // A burst is one look.
        sleep(limits::INTAKE_INTERVAL).await;
        changes = changes.resubscribe();
    }
}

fn before(span_: Duration) -> Millis {
    now().saturating_sub(span(span_))
}

async fn one_look(gateway: &Gateway, owed: &mut Option<Owed>) -> Result<(), Error> {
    let owed = match owed {
        Some(owed) => owed,
        None => owed.insert(gateway.worklist.with(|list| work::without_images(list)).await?.into_iter().collect()),
    };
    let due = mark_due(gateway, owed).await;
    let deleted = delete_owed(gateway, owed).await;
    due.and(deleted)
}

/// Deletes exams whose days are over, and has the work list give up images that have served.
async fn mark_due(gateway: &Gateway, owed: &mut Owed) -> Result<(), Error> {
    let retention = &gateway.config.retention;
    let days = Duration::from_secs(retention.exam_days.saturating_mul(24 * 60 * 60).min(u64::from(u32::MAX)));
    let due = before(days);
    for exam in gateway.worklist.with(move |list| work::exams_due(list, due)).await? {
        delete(gateway, Agent::Gateway, &exam).await?;
    }
    if retention.keep_images {
        return Ok(());
    }
    let hours = HOUR.saturating_mul(u32::try_from(retention.image_hours).unwrap_or(u32::MAX));
    let idle = before(hours);
    for exam in gateway.worklist.with(move |list| work::images_due(list, idle)).await? {
        let gone = exam.clone();
        if gateway.worklist.with(move |list| work::images_gone(list, &gone)).await? {
            owed.insert(exam);
        }
    }
    Ok(())
}

/// Deletes images, each exam's after it was written down; what does not go is tried again at the next look.
async fn delete_owed(gateway: &Gateway, owed: &mut Owed) -> Result<(), Error> {
    let mut result = Ok(());
    for exam in owed.clone() {
        match delete_images(gateway, &exam).await {
            Ok(()) => {
                owed.remove(&exam);
            }
            Err(error) => result = Err(error),
        }
    }
    result
}

async fn delete_images(gateway: &Gateway, exam: &str) -> Result<(), Error> {
    let (spool, there) = (gateway.spool.clone(), exam.to_owned());
    if !tokio::task::spawn_blocking(move || spool.has_images(&there)).await.map_err(|_| Error::Worker)?? {
        return Ok(());
    }
    gateway.audit(Event::images_deleted(exam)).await?;
    let (spool, gone) = (gateway.spool.clone(), exam.to_owned());
    tokio::task::spawn_blocking(move || spool.delete_images(&gone)).await.map_err(|_| Error::Worker)??;
    gateway.worklist.announce(exam);
    Ok(())
}

/// Deletes an exam, with its images and results, after it was written down. Tells whether it was there.
pub(crate) async fn delete(gateway: &Gateway, agent: Agent, exam: &str) -> Result<bool, Error> {
    let there = exam.to_owned();
    if !gateway.worklist.with(move |list| work::is_there(list, &there)).await? {
        return Ok(false);
    }
    gateway.audit(Event::deleted(agent, exam)).await?;
    let gone = exam.to_owned();
    gateway.worklist.with(move |list| work::delete(list, &gone)).await?;
    let (spool, gone) = (gateway.spool.clone(), exam.to_owned());
    tokio::task::spawn_blocking(move || spool.delete(&gone)).await.map_err(|_| Error::Worker)??;
    gateway.worklist.announce(exam);
    Ok(true)
}
