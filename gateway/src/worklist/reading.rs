//! Exams as the JSON interface shows them.

use std::collections::BTreeMap;

use cloister_client::Exam as Answer;
use cloister_receipt::Unverified;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::{
    AnsweredBy, BreastScores, Exam, ExamView, ModelName, OperatingPoint, Reason, ReceiptName, ResultKind, ResultName,
    State, Step,
};
use crate::Error;
use crate::times::{Millis, rfc3339};

/// Where a page of the list begins: behind that exam.
pub(crate) type Cursor = i64;

/// Which exams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) before: Option<Cursor>,
    pub(crate) state: Option<State>,
    pub(crate) search: Option<String>,
    pub(crate) limit: u32,
}

const COLUMNS: &str = "number, id, source, label, patient, study_uid, sender, state, reason_type, reason_sentence,
    received_at, updated_at, images_kept, answer, answered_by, receipt_digest, receipt_key, receipt";

/// A row of the table.
struct Stored {
    number: i64,
    id: String,
    source: String,
    label: String,
    patient: Option<String>,
    study_uid: Option<String>,
    by: Option<String>,
    state: String,
    reason: Option<(String, String)>,
    received_at: Millis,
    updated_at: Millis,
    images_kept: bool,
    answer: Option<String>,
    answered_by: Option<String>,
    receipt: Option<(String, String)>,
    receipt_bytes: Option<Vec<u8>>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let pair = |one, other| -> rusqlite::Result<Option<(String, String)>> {
            Ok(row.get::<_, Option<String>>(one)?.zip(row.get::<_, Option<String>>(other)?))
        };
        Ok(Self {
            number: row.get(0)?,
            id: row.get(1)?,
            source: row.get(2)?,
            label: row.get(3)?,
            patient: row.get(4)?,
            study_uid: row.get(5)?,
            by: row.get(6)?,
            state: row.get(7)?,
            reason: pair(8, 9)?,
            received_at: row.get(10)?,
            updated_at: row.get(11)?,
            images_kept: row.get(12)?,
            answer: row.get(13)?,
            answered_by: row.get(14)?,
            receipt: pair(15, 16)?,
            receipt_bytes: row.get(17)?,
        })
    }

    fn exam(self, connection: &Connection, point: &OperatingPoint) -> Result<Exam, Error> {
        let answer = answer(self.answer.as_deref(), self.receipt_bytes.as_deref())?;
        let enclave: Option<AnsweredBy> = self
            .answered_by
            .map(|json| serde_json::from_str(&json).map_err(|_| Error::Stored("enclave")))
            .transpose()?;
        let state: State = self.state.parse()?;
        Ok(Exam {
            position: position(connection, self.number, state)?,
            views: views(connection, self.number, answer.as_ref())?,
            steps: steps(connection, self.number)?,
            results: results(connection, self.number)?,
            id: self.id,
            received_at: rfc3339(self.received_at),
            updated_at: rfc3339(self.updated_at),
            source: self.source.parse()?,
            label: self.label,
            patient: self.patient,
            study_uid: self.study_uid,
            by: self.by,
            state,
            reason: self.reason.map(|(kind, sentence)| Reason { kind, sentence }),
            images_kept: self.images_kept,
            breasts: answer.as_ref().map(breasts),
            findings: answer.as_ref().map(|answer| answer.findings.clone()).unwrap_or_default(),
            operating_point: point.clone(),
            model: answer.map(|answer| ModelName {
                name: answer.model.name,
                version: answer.model.version,
                digest: answer.model.digest,
            }),
            enclave,
            receipt: self.receipt.map(|(digest, key_id)| ReceiptName { digest, key_id }),
        })
    }
}

/// The answer with the scores that the receipt signs, to the bit: reading JSON may round them once more.
fn answer(json: Option<&str>, receipt: Option<&[u8]>) -> Result<Option<Answer>, Error> {
    let Some(json) = json else { return Ok(None) };
    let mut answer: Answer = serde_json::from_str(json).map_err(|_| Error::Stored("answer"))?;
    let signed = Unverified::parse(receipt.unwrap_or_default()).map_err(|_| Error::Stored("receipt"))?;
    let signed = signed.claims();
    for view in &mut answer.views {
        if let Some(claim) = signed.views.iter().find(|claim| claim.view == view.view.as_str()) {
            view.scores.clone_from(&claim.scores);
        }
    }
    for (side, breast) in &mut answer.breasts {
        if let Some(scores) = signed.breasts.get(side) {
            breast.scores.clone_from(scores);
        }
    }
    Ok(Some(answer))
}

fn breasts(answer: &Answer) -> BTreeMap<String, BreastScores> {
    let one = |(side, breast): (&String, &cloister_client::Breast)| {
        (side.clone(), BreastScores { scores: breast.scores.clone() })
    };
    answer.breasts.iter().map(one).collect()
}

fn position(connection: &Connection, exam: i64, state: State) -> Result<Option<u64>, Error> {
    if !matches!(state, State::Received | State::Verified | State::Sent) {
        return Ok(None);
    }
    let sql = "SELECT count(*) FROM exam WHERE state IN ('received', 'verified', 'sent') AND number <= ?1";
    Ok(Some(connection.query_row(sql, [exam], |row| row.get::<_, i64>(0))?.unsigned_abs()))
}

fn steps(connection: &Connection, exam: i64) -> Result<Vec<Step>, Error> {
    let mut query = connection.prepare("SELECT state, at FROM step WHERE exam = ?1 ORDER BY rowid")?;
    let rows = query.query_map([exam], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    rows.map(|row| {
        let (state, at) = row?;
        Ok(Step { state: state.parse()?, at: rfc3339(at) })
    })
    .collect()
}

fn views(connection: &Connection, exam: i64, answer: Option<&Answer>) -> Result<Vec<ExamView>, Error> {
    let mut query = connection.prepare(
        "SELECT number, view, media, bytes, rows, columns, sha256,
            EXISTS (SELECT 1 FROM map WHERE map.exam = file.exam AND map.view = file.view)
         FROM file WHERE exam = ?1 ORDER BY number",
    )?;
    let rows = query.query_map([exam], |row| {
        let view: Option<String> = row.get(1)?;
        let media: String = row.get(2)?;
        let bytes: i64 = row.get(3)?;
        Ok((row.get(0)?, view, media, bytes.unsigned_abs(), row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?))
    })?;
    rows.map(|row| {
        let (file, view, media, bytes, rows, columns, sha256, has_map) = row?;
        let view = view.and_then(|view| view.parse().ok());
        let answered = answer.and_then(|answer| answer.views.iter().find(|answered| Some(answered.view) == view));
        Ok(ExamView {
            view,
            file,
            media: media.parse()?,
            bytes,
            rows,
            columns,
            // A network that looks at both breasts at once has none for a view.
            scores: answered.map(|answered| answered.scores.clone()).filter(|scores| !scores.is_empty()),
            findings: answered.map(|answered| answered.findings.clone()).unwrap_or_default(),
            has_map,
            sha256,
        })
    })
    .collect()
}

fn results(connection: &Connection, exam: i64) -> Result<Vec<ResultName>, Error> {
    let mut query = connection.prepare(
        "SELECT id, kind, view, (SELECT group_concat(target, ', ') FROM delivery
            WHERE delivery.exam = result.exam AND delivery.result = result.id AND done_at IS NOT NULL)
         FROM result WHERE exam = ?1 ORDER BY id",
    )?;
    let rows = query.query_map([exam], |row| {
        Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?, row.get(3)?))
    })?;
    let mut results = Vec::new();
    for row in rows {
        let (id, kind, view, delivered_to) = row?;
        let kind: ResultKind = kind.parse()?;
        if kind.is_dicom() {
            results.push(ResultName { id, kind, view: view.and_then(|view| view.parse().ok()), delivered_to });
        }
    }
    Ok(results)
}

/// An exam.
pub(crate) fn get(connection: &Connection, id: &str, point: &OperatingPoint) -> Result<Option<Exam>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM exam WHERE id = ?1");
    let stored = connection.prepare(&sql)?.query_row([id], Stored::read).optional()?;
    stored.map(|stored| stored.exam(connection, point)).transpose()
}

/// Exams, the latest first, and where the next page begins.
pub(crate) fn list(
    connection: &Connection,
    filter: &Filter,
    point: &OperatingPoint,
) -> Result<(Vec<Exam>, Option<Cursor>), Error> {
    let mut sql = format!("SELECT {COLUMNS} FROM exam WHERE 1 = 1");
    let mut values = Vec::new();
    if let Some(before) = filter.before {
        sql.push_str(" AND number < ?");
        values.push(Value::Integer(before));
    }
    if let Some(state) = filter.state {
        sql.push_str(" AND state = ?");
        values.push(Value::Text(state.as_str().to_owned()));
    }
    if let Some(search) = &filter.search {
        sql.push_str(" AND (instr(lower(label), ?) OR instr(lower(coalesce(patient, '')), ?) OR instr(id, ?))");
        values.extend(std::iter::repeat_n(Value::Text(search.to_lowercase()), 3));
    }
    sql.push_str(" ORDER BY number DESC LIMIT ?");
    values.push(Value::Integer(i64::from(filter.limit) + 1));
    let mut query = connection.prepare(&sql)?;
    let mut stored: Vec<Stored> = query.query_map(params_from_iter(values), Stored::read)?.collect::<Result<_, _>>()?;
    let more = stored.len() > filter.limit as usize;
    stored.truncate(filter.limit as usize);
    let next = stored.last().filter(|_| more).map(|last| last.number);
    let exams = stored.into_iter().map(|stored| {
        let mut exam = stored.exam(connection, point)?;
        if let Some(enclave) = &mut exam.enclave {
            enclave.checks.clear();
        }
        Ok(exam)
    });
    Ok((exams.collect::<Result<_, Error>>()?, next))
}

/// An exam's receipt.
pub(crate) fn receipt(connection: &Connection, id: &str) -> Result<Option<Vec<u8>>, Error> {
    let sql = "SELECT receipt FROM exam WHERE id = ?1";
    Ok(connection.query_row(sql, [id], |row| row.get(0)).optional()?.flatten())
}

/// The exam that a receipt is of, by its SHA-384.
pub(crate) fn by_receipt(connection: &Connection, digest: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT id FROM exam WHERE receipt_digest = ?1";
    Ok(connection.query_row(sql, [digest], |row| row.get(0)).optional()?)
}

/// An exam's report, in JSON.
pub(crate) fn report(connection: &Connection, id: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT report FROM exam WHERE id = ?1";
    Ok(connection.query_row(sql, [id], |row| row.get(0)).optional()?.flatten())
}

/// A view's map: rows, columns, cells.
pub(crate) fn map(connection: &Connection, id: &str, view: &str) -> Result<Option<(u32, u32, Vec<u8>)>, Error> {
    let sql = "SELECT map.rows, map.columns, cells FROM map JOIN exam ON exam.number = map.exam
         WHERE exam.id = ?1 AND map.view = ?2";
    let found = connection.query_row(sql, params![id, view], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    Ok(found.optional()?)
}

/// Every exam's identifier, to tell whose files are nobody's.
pub(crate) fn identifiers(connection: &Connection) -> Result<Vec<String>, Error> {
    let mut query = connection.prepare("SELECT id FROM exam")?;
    let ids = query.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The audit log's head, as it was last told: number and hash of its last event.
pub(crate) fn audit_head(connection: &Connection) -> Result<Option<(u64, String)>, Error> {
    let sql = "SELECT number, hash FROM audit_head";
    let head = connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)));
    Ok(head.optional()?)
}

/// Notes the audit log's head; an earlier one that comes late changes nothing.
pub(crate) fn set_audit_head(connection: &Connection, number: u64, hash: &str) -> Result<(), Error> {
    connection.execute(
        "INSERT INTO audit_head (one, number, hash) VALUES (1, ?1, ?2)
         ON CONFLICT (one) DO UPDATE SET number = excluded.number, hash = excluded.hash
            WHERE excluded.number > audit_head.number",
        params![i64::try_from(number).unwrap_or(i64::MAX), hash],
    )?;
    Ok(())
}
