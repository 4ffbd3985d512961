//! Its tables.

use std::path::Path;

use rusqlite::Connection;

use crate::Error;

/// The version that this program writes and reads.
pub(crate) const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE exam (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    label TEXT NOT NULL,
    patient TEXT,
    study_uid TEXT,
    sender TEXT,
    state TEXT NOT NULL,
    reason_type TEXT,
    reason_sentence TEXT,
    received_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    gathering TEXT,
    missing_allowed INTEGER NOT NULL,
    nonce BLOB NOT NULL,
    images_kept INTEGER NOT NULL DEFAULT 1,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    answer TEXT,
    answered_by TEXT,
    report TEXT,
    receipt BLOB,
    receipt_digest TEXT,
    receipt_key TEXT
) STRICT;
CREATE INDEX exam_by_state ON exam (state, number);
CREATE INDEX exam_by_receipt ON exam (receipt_digest) WHERE receipt_digest IS NOT NULL;
CREATE UNIQUE INDEX exam_gathering ON exam (gathering) WHERE gathering IS NOT NULL;
CREATE TABLE step (
    exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE,
    state TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX step_by_exam ON step (exam);
CREATE TABLE file (
    exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE,
    number INTEGER NOT NULL,
    view TEXT,
    media TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    rows INTEGER,
    columns INTEGER,
    sha256 TEXT NOT NULL,
    instance_uid TEXT,
    PRIMARY KEY (exam, number)
) STRICT;
CREATE INDEX file_by_digest ON file (sha256);
CREATE TABLE map (
    exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE,
    view TEXT NOT NULL,
    rows INTEGER NOT NULL,
    columns INTEGER NOT NULL,
    cells BLOB NOT NULL,
    PRIMARY KEY (exam, view)
) STRICT;
CREATE TABLE result (
    exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    view TEXT,
    instance_uid TEXT,
    PRIMARY KEY (exam, id)
) STRICT;
CREATE TABLE delivery (
    exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE,
    result TEXT NOT NULL,
    target TEXT NOT NULL,
    done_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    problem TEXT,
    PRIMARY KEY (exam, result, target)
) STRICT;
CREATE INDEX delivery_due ON delivery (not_before) WHERE done_at IS NULL;
CREATE TABLE seen (
    origin TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
";

pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is a patient's, and is not to stay in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        VERSION => {}
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        other => return Err(Error::WorklistVersion(other)),
    }
    Ok(connection)
}
