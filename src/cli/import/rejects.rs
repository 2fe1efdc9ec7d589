//! The reject file: refused records in the form that they came in, each with its reason, so that
//! they can be mended and imported again. Made when the first record is refused; the file of an import
//! before this one goes, since what it says is settled.

use anyhow::Context;
use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Seek, SeekFrom, Write},
    path::PathBuf,
};

/// The column of the reason in a refused table.
pub const REASON: &str = "import_reason";

pub struct Rejects {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    form: Form,
}

/// The form of the file.
pub enum Form {
    /// The reason is a comment above the record.
    Ldif,
    /// The reason is the last cell. With the header, if there is one.
    Table { delimiter: u8, quote: u8, header: Option<Vec<Vec<u8>>> },
}

/// A record as it came in.
#[derive(Clone, Debug)]
pub enum Raw {
    Ldif(String),
    Row(Vec<Vec<u8>>),
}

impl Rejects {
    /// Touches no file until a record is refused.
    pub fn new(path: PathBuf, form: Form) -> Self {
        Rejects { path, file: None, form }
    }

    /// Goes on behind the first `length` bytes of a file that is there already; with none, an older
    /// file is taken away.
    pub fn open(path: PathBuf, form: Form, length: u64) -> anyhow::Result<Self> {
        let mut rejects = Rejects::new(path, form);
        let named = || rejects.path.display().to_string();
        if length == 0 && rejects.path.is_file() {
            std::fs::remove_file(&rejects.path).with_context(named)?;
        }
        if length > 0 {
            let mut file = OpenOptions::new().write(true).open(&rejects.path).with_context(named)?;
            file.set_len(length).with_context(named)?;
            file.seek(SeekFrom::End(0)).with_context(named)?;
            rejects.file = Some(BufWriter::new(file));
        }
        Ok(rejects)
    }

    pub fn add(&mut self, raw: &Raw, reason: &str) -> anyhow::Result<()> {
        let text = self.text(raw, &reason.replace('\n', " "))?;
        let named = || self.path.display().to_string();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = File::create(&self.path).map(BufWriter::new).with_context(named)?;
                file.write_all(&header(&self.form)?).with_context(named)?;
                self.file.insert(file)
            }
        };
        file.write_all(&text).with_context(named)
    }

    fn text(&self, raw: &Raw, reason: &str) -> anyhow::Result<Vec<u8>> {
        match (raw, &self.form) {
            (Raw::Ldif(text), _) => Ok(format!("# {reason}\n{text}\n").into_bytes()),
            // Missing cells are there to be filled in; surplus ones stay, or the row would seem to fit.
            (Raw::Row(cells), Form::Table { delimiter, quote, header }) => {
                let width = header.as_ref().map_or(cells.len(), Vec::len);
                let missing = std::iter::repeat_n(&b""[..], width.saturating_sub(cells.len()));
                let own = cells.iter().map(Vec::as_slice);
                line(own.chain(missing).chain([reason.as_bytes()]), *delimiter, *quote)
            }
            (Raw::Row(cells), Form::Ldif) => line(cells.iter().map(Vec::as_slice), b',', b'"'),
        }
    }

    /// Bytes written so far, all of them on their way to the disk.
    pub fn sync(&mut self) -> anyhow::Result<u64> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let named = || self.path.display().to_string();
        file.flush().with_context(named)?;
        file.get_ref().sync_data().with_context(named)?;
        file.stream_position().with_context(named)
    }
}

fn header(form: &Form) -> anyhow::Result<Vec<u8>> {
    match form {
        Form::Table { delimiter, quote, header: Some(names) } => {
            line(names.iter().map(Vec::as_slice).chain([REASON.as_bytes()]), *delimiter, *quote)
        }
        _ => Ok(Vec::new()),
    }
}

fn line<'a>(cells: impl Iterator<Item = &'a [u8]>, delimiter: u8, quote: u8) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().flexible(true).delimiter(delimiter).quote(quote).from_writer(Vec::new());
    writer.write_record(cells)?;
    Ok(writer.into_inner()?)
}
