//! The folder that files are dropped into. A file is whole before it has a name that a reader looks
//! for: it is written beside, synced, noted, and renamed. A crash leaves either no trace or a part that
//! the note knows, and which gets its name then.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

#[derive(Clone, Debug)]
pub struct Spool {
    pub folder: PathBuf,
    /// The name of the target, with which all names begin.
    pub name: String,
    /// Who may read the files.
    pub mode: u32,
}

/// A file that is to be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Spool {
    /// Makes the folder if it is not there.
    pub fn open(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)
    }

    pub fn write(&self, files: &[Ready]) -> io::Result<()> {
        for ready in files {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(self.mode)
                .open(self.part(&ready.name))?;
            file.write_all(&ready.bytes)?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// Gives the noted parts their names; those that have theirs already may have been taken away.
    pub fn publish(&self, names: &[String]) -> io::Result<()> {
        for name in names {
            match fs::rename(self.part(name), self.folder.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        self.sync()
    }

    /// Takes away the parts of files that were never noted.
    pub fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let own = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(PART));
            if own.is_some_and(|own| self.number(own).is_some()) {
                fs::remove_file(self.folder.join(name.as_ref()))?;
            }
        }
        Ok(())
    }

    /// Keeps the files of the newest deliveries, and removes those of the others.
    pub fn retain(&self, deliveries: usize) -> io::Result<()> {
        let mut found: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if let Some(number) = self.number(&entry.file_name().to_string_lossy()) {
                found.push((number, entry.path()));
            }
        }
        let mut numbers: Vec<u64> = found.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let Some(oldest) = numbers.iter().rev().nth(deliveries.saturating_sub(1)) else { return Ok(()) };
        for (_, path) in found.iter().filter(|(number, _)| number < oldest) {
            remove(path)?;
        }
        Ok(())
    }

    /// A file that holds what was said so far, beside those that are dropped.
    pub fn state(&self, kind: &str) -> String {
        format!(".{}-{kind}.state", self.name)
    }

    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `NAME-0000000012-users.csv`: sorted by name is sorted by time.
    pub fn file_name(&self, sequence: u64, ending: &str) -> String {
        format!("{}-{sequence:0DIGITS$}{ending}", self.name)
    }

    fn part(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}{PART}"))
    }

    /// The sequence number in the name of a file of ours.
    fn number(&self, name: &str) -> Option<u64> {
        let rest = name.strip_prefix(self.name.as_str())?.strip_prefix('-')?;
        let (digits, ending) = rest.split_at_checked(DIGITS)?;
        let is_ours = digits.chars().all(|c| c.is_ascii_digit()) && ending.starts_with(['.', '-']);
        if is_ours { digits.parse().ok() } else { None }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// Whoever reads the files may remove them, too.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

const PART: &str = ".part";
const DIGITS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(spool: &Spool) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(&spool.folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool { folder: folder.path().to_owned(), name: "hr".into(), mode: 0o640 };
        let ready = |sequence| Ready { name: spool.file_name(sequence, ".csv"), bytes: b"x".to_vec() };
        spool.write(&[ready(1)]).unwrap();
        assert_eq!(names(&spool), [".hr-0000000001.csv.part"]);
        for _ in 0..2 {
            spool.publish(&[ready(1).name]).unwrap();
            assert_eq!(names(&spool), ["hr-0000000001.csv"]);
        }
        fs::write(folder.path().join("hr-2-0000000001.csv"), "another target's").unwrap();
        spool.write(&[ready(2)]).unwrap();
        spool.sweep().unwrap();
        for sequence in 2..5 {
            spool.write(&[ready(sequence)]).unwrap();
            spool.publish(&[ready(sequence).name]).unwrap();
        }
        spool.retain(2).unwrap();
        assert_eq!(names(&spool), ["hr-0000000003.csv", "hr-0000000004.csv", "hr-2-0000000001.csv"]);
    }
}
