//! What a command says: results on standard output, progress on a terminal's standard error and nowhere else.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

use cloister_client::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;
use crate::words::{explained, in_words};

/// Prints one result.
pub fn line(text: impl Display) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|e| Failure::unavailable(format!("standard output: {e}")))
}

/// Prints one result as JSON on a line of its own.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|e| Failure::input(format!("cannot be written as JSON: {e}")))?;
    line(text)
}

/// Prints findings, one a line.
pub fn findings<C: AsRef<str>>(indent: &str, codes: &[C]) -> Result<(), Failure> {
    codes.iter().try_for_each(|code| line(format_args!("{indent}  finding  {}", in_words(code.as_ref()))))
}

/// A result, and what its findings' codes mean.
#[derive(Serialize)]
pub struct Explained<T> {
    #[serde(flatten)]
    result: T,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    finding_words: BTreeMap<String, &'static str>,
}

impl<T> Explained<T> {
    /// A result with these findings.
    pub fn new<C: AsRef<str>>(result: T, findings: impl IntoIterator<Item = C>) -> Self {
        Self { result, finding_words: explained(findings) }
    }
}

/// A bar for an upload of that many bytes; it turns into a spinner once all is sent and the enclave works.
pub struct UploadBar {
    bar: ProgressBar,
}

impl UploadBar {
    /// A bar on a terminal, nothing elsewhere.
    pub fn new(bytes: u64) -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bar:30} {bytes}/{total_bytes}") {
            bar.set_style(style);
        }
        bar.set_message("sending");
        Self { bar }
    }

    /// What the client calls while it sends.
    pub fn progress(&self) -> Progress {
        let bar = self.bar.clone();
        Arc::new(move |sent| {
            bar.set_position(sent);
            if Some(sent) >= bar.length() {
                bar.set_message("classifying");
                bar.enable_steady_tick(std::time::Duration::from_millis(120));
            }
        })
    }
}

impl Drop for UploadBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
