//! Exams that come image by image: by STOW-RS, out of a folder, out of a bucket.

use cloister_imaging::View;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::work::{NewExam, insert, step};
use super::{Media, State};
use crate::intake::Looked;
use crate::spool::Spooled;
use crate::times::{Millis, now};
use crate::{Error, limits};

/// A file that is on disk.
#[derive(Clone)]
pub(crate) struct NewFile {
    pub(crate) number: u32,
    pub(crate) view: Option<View>,
    pub(crate) media: Media,
    pub(crate) bytes: u64,
    pub(crate) rows: Option<u32>,
    pub(crate) columns: Option<u32>,
    pub(crate) sha256: String,
    pub(crate) instance_uid: Option<String>,
}

impl NewFile {
    /// A file, and what was seen of it.
    pub(crate) fn of(number: u32, file: &Spooled, looked: &Looked) -> Self {
        Self {
            number,
            view: looked.view,
            media: looked.media,
            bytes: file.bytes,
            rows: looked.rows,
            columns: looked.columns,
            sha256: file.sha256.clone(),
            instance_uid: looked.dicom.as_ref().map(|dicom| dicom.instance_uid.clone()),
        }
    }

    pub(super) fn insert(&self, transaction: &Transaction<'_>, exam: i64) -> Result<(), Error> {
        transaction.execute(
            "INSERT INTO file (exam, number, view, media, bytes, rows, columns, sha256, instance_uid)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                exam,
                self.number,
                self.view.map(View::as_str),
                self.media.as_str(),
                i64::try_from(self.bytes).unwrap_or(i64::MAX),
                self.rows,
                self.columns,
                self.sha256,
                self.instance_uid
            ],
        )?;
        Ok(())
    }
}

/// What became of an image that came by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// It is part of this exam, which is complete or not.
    Part { id: String, complete: bool },
    /// The very file has come before.
    Before { id: String },
    /// The exam has another image of this view.
    Twice,
}

/// The exam that gathers under that name, and the number that its next file gets.
pub(crate) fn open_exam(connection: &Connection, name: &str) -> Result<Option<(String, u32)>, Error> {
    let sql = "SELECT id, (SELECT coalesce(max(file.number), 0) FROM file WHERE file.exam = exam.number) FROM exam
         WHERE gathering = ?1";
    let found = connection.query_row(sql, [name], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?))).optional()?;
    Ok(found.map(|(id, last)| (id, last.saturating_add(1))))
}

/// The exam that has a file of these bytes, if there is one. One that failed does not count: sending its files again begins another.
pub(crate) fn with_file(connection: &Connection, sha256: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT id FROM exam JOIN file ON file.exam = exam.number WHERE sha256 = ?1 AND state <> 'failed'
         ORDER BY exam.number LIMIT 1";
    Ok(connection.query_row(sql, [sha256], |row| row.get(0)).optional()?)
}

/// Adds one image to the exam that gathers under that name, or begins one. `exam` has that one image.
pub(crate) fn gather(connection: &mut Connection, name: &str, exam: &NewExam) -> Result<Gathered, Error> {
    let transaction = connection.transaction()?;
    let Some(file) = exam.files.first() else { return Err(Error::Stored("file")) };
    if let Some(id) = with_file(&transaction, &file.sha256)? {
        return Ok(Gathered::Before { id });
    }
    let sql = "SELECT number, id FROM exam WHERE gathering = ?1";
    let found: Option<(i64, String)> =
        transaction.query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (number, id) = match found {
        Some((number, id)) => {
            let view = file.view.map(View::as_str);
            let sql = "SELECT count(*) FROM file WHERE exam = ?1 AND view = ?2";
            if transaction.query_row(sql, params![number, view], |row| row.get::<_, i64>(0))? > 0 {
                return Ok(Gathered::Twice);
            }
            file.insert(&transaction, number)?;
            transaction.execute("UPDATE exam SET updated_at = ?2 WHERE number = ?1", params![number, now()])?;
            (number, id)
        }
        None => {
            let number = insert(&transaction, exam, Some(name))?;
            step(&transaction, number, State::Receiving)?;
            (number, exam.id.clone())
        }
    };
    let count: i64 = transaction.query_row("SELECT count(*) FROM file WHERE exam = ?1", [number], |row| row.get(0))?;
    let complete = usize::try_from(count).is_ok_and(|count| count >= limits::MAX_FILES);
    if complete {
        close(&transaction, number)?;
    }
    transaction.commit()?;
    Ok(Gathered::Part { id, complete })
}

fn close(transaction: &Transaction<'_>, exam: i64) -> Result<(), Error> {
    transaction.execute("UPDATE exam SET gathering = NULL WHERE number = ?1", [exam])?;
    step(transaction, exam, State::Received)
}

/// Exams that have had no new image since that time: number, identifier, the views that they have.
pub(crate) fn quiet_since(connection: &Connection, since: Millis) -> Result<Vec<(i64, String, Vec<View>)>, Error> {
    let sql = "SELECT number, id FROM exam WHERE state = 'receiving' AND updated_at <= ?1";
    let mut query = connection.prepare(sql)?;
    let exams = query.query_map([since], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let exams: Vec<(i64, String)> = exams.collect::<Result<_, _>>()?;
    let mut query = connection.prepare("SELECT view FROM file WHERE exam = ?1 AND view IS NOT NULL")?;
    let mut quiet = Vec::new();
    for (number, id) in exams {
        let views = query.query_map([number], |row| row.get::<_, String>(0))?;
        let views = views.collect::<Result<Vec<_>, _>>()?;
        quiet.push((number, id, views.iter().filter_map(|view| view.parse().ok()).collect()));
    }
    Ok(quiet)
}

/// Takes an exam to be complete as it is.
pub(crate) fn complete(connection: &mut Connection, exam: i64) -> Result<(), Error> {
    let transaction = connection.transaction()?;
    close(&transaction, exam)?;
    transaction.commit()?;
    Ok(())
}

/// Whether something of that origin has been dealt with before.
pub(crate) fn is_seen(connection: &Connection, origin: &str) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM seen WHERE origin = ?1";
    Ok(connection.query_row(sql, [origin], |_| Ok(())).optional()?.is_some())
}

/// Notes that something of that origin has been dealt with.
pub(crate) fn see(connection: &Connection, origin: &str) -> Result<(), Error> {
    connection.execute("INSERT OR IGNORE INTO seen (origin, at) VALUES (?1, ?2)", params![origin, now()])?;
    Ok(())
}
