//! What is to be delivered where, and what has been.

use cloister_imaging::View;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::work::{backoff, step};
use super::{ResultKind, State};
use crate::Error;
use crate::times::{now, span};

/// A result whose file is on disk.
pub(crate) struct NewResult {
    pub(crate) id: String,
    pub(crate) kind: ResultKind,
    pub(crate) view: Option<View>,
    pub(crate) instance_uid: Option<String>,
}

impl NewResult {
    pub(super) fn insert(
        &self,
        transaction: &Transaction<'_>,
        exam: i64,
        targets: &[&'static str],
    ) -> Result<(), Error> {
        transaction.execute(
            "INSERT INTO result (exam, id, kind, view, instance_uid) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![exam, self.id, self.kind.as_str(), self.view.map(View::as_str), self.instance_uid],
        )?;
        for target in targets {
            // A PACS takes nothing else.
            if *target == crate::delivery::PACS && !self.kind.is_dicom() {
                continue;
            }
            transaction.execute(
                "INSERT INTO delivery (exam, result, target) VALUES (?1, ?2, ?3)",
                params![exam, self.id, target],
            )?;
        }
        Ok(())
    }
}

/// Something to deliver.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) number: i64,
    pub(crate) exam: String,
    pub(crate) result: String,
    pub(crate) kind: ResultKind,
    pub(crate) study_uid: Option<String>,
    pub(crate) target: String,
}

/// What is to be delivered next to a target, if its time has come.
pub(crate) fn due(connection: &Connection, target: &str) -> Result<Option<Due>, Error> {
    let mut query = connection.prepare(
        "SELECT exam.number, exam.id, result.id, result.kind, exam.study_uid, delivery.target
         FROM delivery JOIN exam ON exam.number = delivery.exam
            JOIN result ON result.exam = delivery.exam AND result.id = delivery.result
         WHERE delivery.done_at IS NULL AND delivery.not_before <= ?1 AND delivery.target = ?2 ORDER BY exam.number, result.id LIMIT 1",
    )?;
    let found = query.query_row(params![now(), target], |row| {
        let kind: String = row.get(3)?;
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, kind, row.get(4)?, row.get(5)?))
    });
    let Some((number, exam, result, kind, study_uid, target)) = found.optional()? else { return Ok(None) };
    Ok(Some(Due { number, exam, result, kind: kind.parse()?, study_uid, target }))
}

/// Notes a delivery. Tells whether it was the exam's last.
pub(crate) fn delivered(connection: &mut Connection, due: &Due) -> Result<bool, Error> {
    let transaction = connection.transaction()?;
    transaction.execute(
        "UPDATE delivery SET done_at = ?4, problem = NULL WHERE exam = ?1 AND result = ?2 AND target = ?3",
        params![due.number, due.result, due.target, now()],
    )?;
    let sql = "SELECT count(*) FROM delivery WHERE exam = ?1 AND done_at IS NULL";
    let left: i64 = transaction.query_row(sql, [due.number], |row| row.get(0))?;
    if left == 0 {
        step(&transaction, due.number, State::Delivered)?;
    }
    transaction.commit()?;
    Ok(left == 0)
}

/// Forgets what was to be delivered to targets that there are no more, and moves on exams for which nothing else was left and something
/// has arrived. Tells how many deliveries.
pub(crate) fn forget_others(connection: &mut Connection, targets: &[&str]) -> Result<usize, Error> {
    let transaction = connection.transaction()?;
    let targets = serde_json::to_string(targets).map_err(|_| Error::Stored("delivery"))?;
    let others = "done_at IS NULL AND target NOT IN (SELECT value FROM json_each(?1))";
    let mut query = transaction.prepare(&format!("SELECT DISTINCT exam FROM delivery WHERE {others}"))?;
    let exams = query.query_map([&targets], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    drop(query);
    let forgotten = transaction.execute(&format!("DELETE FROM delivery WHERE {others}"), [&targets])?;
    for exam in exams {
        let sql = "SELECT count(*) FILTER (WHERE done_at IS NULL), count(*) FROM delivery WHERE exam = ?1";
        let (left, all): (i64, i64) = transaction.query_row(sql, [exam], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if left == 0 && all > 0 {
            step(&transaction, exam, State::Delivered)?;
        }
    }
    transaction.commit()?;
    Ok(forgotten)
}

/// Puts a delivery off.
pub(crate) fn later(connection: &Connection, due: &Due, problem: &str) -> Result<(), Error> {
    let sql = "SELECT attempts FROM delivery WHERE exam = ?1 AND result = ?2 AND target = ?3";
    let attempts: Option<u32> =
        connection.query_row(sql, params![due.number, due.result, due.target], |row| row.get(0)).optional()?;
    let not_before = now().saturating_add(span(backoff(attempts.unwrap_or_default())));
    connection.execute(
        "UPDATE delivery SET attempts = attempts + 1, not_before = ?4, problem = ?5
         WHERE exam = ?1 AND result = ?2 AND target = ?3",
        params![due.number, due.result, due.target, not_before, problem],
    )?;
    Ok(())
}
