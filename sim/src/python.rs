//! Python environments for the tests' other ends: made once for each set of pins, and kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// Reading or writing the cache failed.
    #[error("the cache {path} cannot be used: {error}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A command did not start.
    #[error("{command} does not start: {error}")]
    Start {
        /// The command.
        command: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A command failed.
    #[error("{command} failed:\n{said}")]
    Failed {
        /// The command.
        command: String,
        /// What it wrote.
        said: String,
    },
}

/// The Python of the environment `name` in the folder `cache`, with these pins (lines of `requirements.txt`) from PyPI and no other state.
/// Blocks while it is installed, by this process or by another.
///
/// # Errors
/// An [`EnvironmentError`] when it cannot be made: without the network, say.
pub fn environment(cache: &Path, name: &str, pins: &str) -> Result<PathBuf, EnvironmentError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |error| EnvironmentError::File { path, error }
    };
    fs::create_dir_all(cache).map_err(file(cache))?;
    // Two runs at once would install over each other.
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(file(&lock_path))?;
    lock.lock().map_err(file(&lock_path))?;
    let environment = cache.join(name);
    let python = environment.join("bin/python");
    let installed = environment.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|found| found == pins) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let requirements = environment.join("requirements.txt");
    fs::write(&requirements, pins).map_err(file(&requirements))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))?;
    fs::write(&installed, pins).map_err(file(&installed))?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), EnvironmentError> {
    let name = format!("{command:?}");
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Err(EnvironmentError::Failed { command: name, said: String::from_utf8_lossy(&said).into_owned() })
        }
        Err(error) => Err(EnvironmentError::Start { command: name, error }),
    }
}
