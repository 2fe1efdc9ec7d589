//! How far an import has come, in a file beside its input, so that one that was cut off can go on.

use super::Counts;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The state after the last record whose answer is durable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    input_bytes: u64,
    input_sha256: String,
    /// Records from the start of the file, refused ones among them.
    pub records: u64,
    pub counts: Counts,
    /// Bytes of the reject file that belong to them.
    pub rejects: u64,
}

pub struct Log {
    path: PathBuf,
    pub progress: Progress,
}

impl Log {
    /// At the start of `input`, or, with `resume`, where the last import of it stopped.
    pub fn open(input: &Path, resume: bool) -> anyhow::Result<Self> {
        let (input_bytes, input_sha256) = fingerprint(input)?;
        let mut name = input.as_os_str().to_owned();
        name.push(".resume.json");
        let path = PathBuf::from(name);
        let mut progress = Progress { input_bytes, input_sha256, records: 0, counts: Counts::default(), rejects: 0 };
        if resume && path.exists() {
            let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
            let before: Progress = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
            if (before.input_bytes, &before.input_sha256) != (input_bytes, &progress.input_sha256) {
                bail!("{}: it belongs to another content of {}", path.display(), input.display());
            }
            progress = before;
        }
        Ok(Log { path, progress })
    }

    /// Replaces the file as a whole, so that there is always one that can be read.
    pub fn save(&self) -> anyhow::Result<()> {
        let named = || self.path.display().to_string();
        let fresh = self.path.with_extension("json.new");
        let mut file = File::create(&fresh).with_context(named)?;
        file.write_all(&serde_json::to_vec(&self.progress)?).with_context(named)?;
        file.sync_data().with_context(named)?;
        std::fs::rename(&fresh, &self.path).with_context(named)
    }

    /// All is done: there is nothing to go on with.
    pub fn close(self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| self.path.display().to_string())
            }
            _ => Ok(()),
        }
    }
}

fn fingerprint(input: &Path) -> anyhow::Result<(u64, String)> {
    let named = || input.display().to_string();
    let mut file = File::open(input).with_context(named)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = io::Read::read(&mut file, &mut buffer).with_context(named)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        bytes += read as u64;
    }
    Ok((bytes, hash.finalize().iter().map(|b| format!("{b:02x}")).collect()))
}
