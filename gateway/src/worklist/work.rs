//! What happens to an exam: received, taken up, sent, answered, delivered, or failed.

use std::time::Duration;

use cloister_imaging::View;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::deliveries::NewResult;
use super::gathering::NewFile;
use super::{AnsweredBy, Reason, ReceiptName, Source, State};
use crate::times::{Millis, now, span};
use crate::{Error, limits};

/// An exam all of whose files are on disk.
pub(crate) struct NewExam {
    pub(crate) id: String,
    pub(crate) source: Source,
    pub(crate) label: String,
    pub(crate) patient: Option<String>,
    pub(crate) study_uid: Option<String>,
    pub(crate) by: Option<String>,
    pub(crate) missing_allowed: bool,
    pub(crate) nonce: [u8; 32],
    pub(crate) files: Vec<NewFile>,
}

/// An exam to send.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) missing_allowed: bool,
    pub(crate) nonce: [u8; 32],
    pub(crate) files: Vec<(u32, Option<View>)>,
}

/// A map of where the network looked.
#[derive(Clone, Debug)]
pub(crate) struct StoredMap {
    pub(crate) view: View,
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    pub(crate) cells: Vec<u8>,
}

/// An answer, with all that is to be done with it.
pub(crate) struct Answered {
    /// The client's exam, in JSON, without maps.
    pub(crate) answer: String,
    pub(crate) by: AnsweredBy,
    pub(crate) report: String,
    pub(crate) receipt: Vec<u8>,
    pub(crate) receipt_name: ReceiptName,
    pub(crate) maps: Vec<StoredMap>,
    pub(crate) results: Vec<NewResult>,
    pub(crate) targets: Vec<&'static str>,
}

/// Moves an exam on, unless it has been deleted meanwhile.
pub(super) fn step(transaction: &Transaction<'_>, exam: i64, state: State) -> Result<(), Error> {
    let at = now();
    let changed = transaction
        .execute("UPDATE exam SET state = ?2, updated_at = ?3 WHERE number = ?1", params![exam, state.as_str(), at])?;
    if changed == 1 {
        transaction
            .execute("INSERT INTO step (exam, state, at) VALUES (?1, ?2, ?3)", params![exam, state.as_str(), at])?;
    }
    Ok(())
}

/// Puts an exam on the list.
pub(crate) fn add(connection: &mut Connection, exam: &NewExam) -> Result<(), Error> {
    let transaction = connection.transaction()?;
    let number = insert(&transaction, exam, None)?;
    step(&transaction, number, State::Received)?;
    transaction.commit()?;
    Ok(())
}

pub(super) fn insert(transaction: &Transaction<'_>, exam: &NewExam, gathering: Option<&str>) -> Result<i64, Error> {
    let at = now();
    transaction.execute(
        "INSERT INTO exam (id, source, label, patient, study_uid, sender, state, received_at, updated_at, gathering,
            missing_allowed, nonce) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'receiving', ?7, ?7, ?8, ?9, ?10)",
        params![
            exam.id,
            exam.source.as_str(),
            exam.label,
            exam.patient,
            exam.study_uid,
            exam.by,
            at,
            gathering,
            exam.missing_allowed,
            exam.nonce
        ],
    )?;
    let number = transaction.last_insert_rowid();
    for file in &exam.files {
        file.insert(transaction, number)?;
    }
    Ok(number)
}

/// Exams that wait for an enclave, or are being classified.
pub(crate) fn waiting(connection: &Connection) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM exam WHERE state IN ('received', 'verified', 'sent')";
    Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Bytes of all images that are kept.
pub(crate) fn kept_bytes(connection: &Connection) -> Result<u64, Error> {
    let sql = "SELECT coalesce(sum(bytes), 0) FROM file JOIN exam ON exam.number = file.exam WHERE images_kept = 1";
    Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// The first exam whose time has come, other than those that are being sent.
pub(crate) fn next(connection: &mut Connection, but: &[i64]) -> Result<Option<Work>, Error> {
    let mut query = connection.prepare(
        "SELECT number, id, missing_allowed, nonce FROM exam
         WHERE state IN ('received', 'verified', 'sent') AND not_before <= ?1 ORDER BY number LIMIT ?2",
    )?;
    let most = i64::try_from(but.len()).unwrap_or(i64::MAX).saturating_add(1);
    let rows = query.query_map(params![now(), most], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let rows: Vec<(i64, String, bool, [u8; 32])> = rows.collect::<Result<_, _>>()?;
    let Some((number, id, missing_allowed, nonce)) = rows.into_iter().find(|(number, ..)| !but.contains(number)) else {
        return Ok(None);
    };
    let mut query = connection.prepare("SELECT number, view FROM file WHERE exam = ?1 ORDER BY number")?;
    let files = query.query_map([number], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)))?;
    let files = files.collect::<Result<Vec<(u32, Option<String>)>, _>>()?.into_iter();
    let files = files.map(|(number, view)| (number, view.and_then(|view| view.parse().ok()))).collect();
    Ok(Some(Work { number, id, missing_allowed, nonce, files }))
}

/// Notes that an enclave was verified, or that the exam is about to leave by that connection.
pub(crate) fn moved_on(connection: &mut Connection, exam: i64, state: State) -> Result<(), Error> {
    let transaction = connection.transaction()?;
    step(&transaction, exam, state)?;
    transaction.commit()?;
    Ok(())
}

/// Keeps the answer and all that is to be done with it, in one go.
pub(crate) fn answered(connection: &mut Connection, exam: i64, answered: &Answered) -> Result<(), Error> {
    let transaction = connection.transaction()?;
    let by = serde_json::to_string(&answered.by).map_err(|_| Error::Stored("enclave"))?;
    let there = transaction.execute(
        "UPDATE exam SET answer = ?2, answered_by = ?3, report = ?4, receipt = ?5, receipt_digest = ?6, receipt_key = ?7,
            reason_type = NULL, reason_sentence = NULL WHERE number = ?1",
        params![
            exam,
            answered.answer,
            by,
            answered.report,
            answered.receipt,
            answered.receipt_name.digest,
            answered.receipt_name.key_id
        ],
    )?;
    if there == 0 {
        return Ok(());
    }
    for map in &answered.maps {
        transaction.execute(
            "INSERT OR REPLACE INTO map (exam, view, rows, columns, cells) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![exam, map.view.as_str(), map.rows, map.columns, map.cells],
        )?;
    }
    for result in &answered.results {
        result.insert(&transaction, exam, &answered.targets)?;
    }
    step(&transaction, exam, State::Answered)?;
    transaction.commit()?;
    Ok(())
}

/// Puts an exam back, to be sent after a while, which is `after` at least; it fails with `reason` where that has been tried often enough. Tells whether it failed.
pub(crate) fn again(
    connection: &mut Connection,
    exam: i64,
    after: Option<Duration>,
    reason: &Reason,
) -> Result<bool, Error> {
    let transaction = connection.transaction()?;
    let sql = "SELECT attempts FROM exam WHERE number = ?1";
    let attempts: Option<u32> = transaction.query_row(sql, [exam], |row| row.get(0)).optional()?;
    let Some(attempts) = attempts else { return Ok(false) };
    let failed = attempts.saturating_add(1) >= limits::MAX_ATTEMPTS;
    if failed {
        end(&transaction, exam, State::Failed, reason)?;
    } else {
        let not_before = now().saturating_add(span(backoff(attempts).max(after.unwrap_or_default())));
        transaction.execute(
            "UPDATE exam SET attempts = attempts + 1, not_before = ?2 WHERE number = ?1",
            params![exam, not_before],
        )?;
        step(&transaction, exam, State::Received)?;
    }
    transaction.commit()?;
    Ok(failed)
}

/// The wait before the next try, after so many.
pub(super) fn backoff(attempts: u32) -> Duration {
    limits::FIRST_BACKOFF.saturating_mul(1 << attempts.min(16)).min(limits::LONGEST_BACKOFF)
}

fn end(transaction: &Transaction<'_>, exam: i64, state: State, reason: &Reason) -> Result<(), Error> {
    transaction.execute(
        "UPDATE exam SET reason_type = ?2, reason_sentence = ?3, gathering = NULL WHERE number = ?1",
        params![exam, reason.kind, reason.sentence],
    )?;
    step(transaction, exam, state)
}

/// Ends an exam without an answer.
pub(crate) fn ended(connection: &mut Connection, exam: i64, state: State, reason: &Reason) -> Result<(), Error> {
    let transaction = connection.transaction()?;
    end(&transaction, exam, state, reason)?;
    transaction.commit()?;
    Ok(())
}

/// Has a failed exam sent once more. Tells whether it had failed, and its images are there.
pub(crate) fn retry(connection: &mut Connection, id: &str) -> Result<bool, Error> {
    let transaction = connection.transaction()?;
    let sql = "SELECT number FROM exam WHERE id = ?1 AND state = 'failed' AND images_kept = 1";
    let exam: Option<i64> = transaction.query_row(sql, [id], |row| row.get(0)).optional()?;
    let Some(exam) = exam else { return Ok(false) };
    transaction.execute(
        "UPDATE exam SET attempts = 0, not_before = 0, reason_type = NULL, reason_sentence = NULL WHERE number = ?1",
        [exam],
    )?;
    step(&transaction, exam, State::Received)?;
    transaction.commit()?;
    Ok(true)
}

/// Takes an exam off the list, with all that there was of it. Tells whether it was there.
pub(crate) fn delete(connection: &Connection, id: &str) -> Result<bool, Error> {
    Ok(connection.execute("DELETE FROM exam WHERE id = ?1", [id])? == 1)
}

/// Exams whose images have served their purpose by `served`, or that ended without delivery before `idle`.
pub(crate) fn images_due(connection: &Connection, idle: Millis) -> Result<Vec<String>, Error> {
    let mut query = connection.prepare(
        "SELECT id FROM exam WHERE images_kept = 1 AND (
            (state = 'delivered' AND EXISTS (SELECT 1 FROM delivery WHERE delivery.exam = exam.number))
            OR (state IN ('answered', 'delivered', 'failed', 'abstained') AND updated_at < ?1
                AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.exam = exam.number AND done_at IS NULL)))",
    )?;
    let ids = query.query_map([idle], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Notes that an exam's images are about to be deleted. Tells whether they may be: it may have been sent once more meanwhile.
pub(crate) fn images_gone(connection: &Connection, id: &str) -> Result<bool, Error> {
    let sql = "UPDATE exam SET images_kept = 0
         WHERE id = ?1 AND state IN ('answered', 'delivered', 'failed', 'abstained')";
    Ok(connection.execute(sql, [id])? == 1)
}

/// Exams whose images have been deleted, or were about to be.
pub(crate) fn without_images(connection: &Connection) -> Result<Vec<String>, Error> {
    let mut query = connection.prepare("SELECT id FROM exam WHERE images_kept = 0")?;
    let ids = query.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Whether a failed exam can be sent once more.
pub(crate) fn can_retry(connection: &Connection, id: &str) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM exam WHERE id = ?1 AND state = 'failed' AND images_kept = 1";
    Ok(connection.query_row(sql, [id], |_| Ok(())).optional()?.is_some())
}

/// Whether an exam is on the list.
pub(crate) fn is_there(connection: &Connection, id: &str) -> Result<bool, Error> {
    Ok(connection.query_row("SELECT 1 FROM exam WHERE id = ?1", [id], |_| Ok(())).optional()?.is_some())
}

/// Exams that ended before that time, with nothing left to deliver.
pub(crate) fn exams_due(connection: &Connection, before: Millis) -> Result<Vec<String>, Error> {
    let mut query = connection.prepare(
        "SELECT id FROM exam WHERE state IN ('answered', 'delivered', 'failed', 'abstained') AND updated_at < ?1
            AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.exam = exam.number AND done_at IS NULL)",
    )?;
    let ids = query.query_map([before], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}
