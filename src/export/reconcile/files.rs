//! Batches on disk: one header and one file of events each, in the folder of the target. They hold
//! personal data, so only the server's account may read them.

use super::{
    batch::{Batch, BatchStatus},
    event::Event,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// The reconciliations of one target.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// `<data>/reconcile/<target>`.
    pub fn new(data: &Path, target: &str) -> Self {
        Folder(data.join("reconcile").join(target))
    }

    fn header(&self, id: Uuid) -> PathBuf {
        self.0.join(format!("{id}.json"))
    }

    fn event_file(&self, id: Uuid) -> PathBuf {
        self.0.join(format!("{id}.jsonl"))
    }

    /// Writes a header in one step: a reader sees the old one or the new one.
    pub fn save(&self, batch: &Batch) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.0)?;
        let beside = self.0.join(format!("{}.new", batch.id));
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true), &beside)?;
        file.write_all(&serde_json::to_vec_pretty(batch)?)?;
        file.sync_all()?;
        fs::rename(&beside, self.header(batch.id))?;
        File::open(&self.0)?.sync_all()
    }

    /// Adds events and says how long the file now is. They count once a header says so.
    pub fn append(&self, batch: &Batch, events: &[Event]) -> io::Result<u64> {
        let mut file = private(OpenOptions::new().append(true).create(true), &self.event_file(batch.id))?;
        let mut text = Vec::new();
        for event in events {
            serde_json::to_writer(&mut text, event)?;
            text.push(b'\n');
        }
        file.write_all(&text)?;
        file.sync_data()?;
        Ok(file.metadata()?.len())
    }

    /// Cuts off the events that no header speaks of: those of a page that was not completed.
    pub fn cut(&self, batch: &Batch) -> io::Result<()> {
        let file = private(OpenOptions::new().append(true).create(true), &self.event_file(batch.id))?;
        if file.metadata()?.len() < batch.cursor.event_bytes {
            return Err(io::Error::other("events that the header speaks of are missing"));
        }
        file.set_len(batch.cursor.event_bytes)
    }

    /// All headers, the newest first. What cannot be read is left out, and stays.
    pub fn batches(&self) -> Vec<Batch> {
        let Ok(files) = fs::read_dir(&self.0) else { return Vec::new() };
        let paths =
            files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
        let mut batches: Vec<Batch> =
            paths.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect();
        batches.sort_by(|a, b| (&b.start_date, b.id).cmp(&(&a.start_date, a.id)));
        batches
    }

    pub fn batch(&self, id: Uuid) -> Option<Batch> {
        serde_json::from_slice(&fs::read(self.header(id)).ok()?).ok()
    }

    /// Those that a stop has interrupted.
    pub fn unfinished(&self) -> Vec<Batch> {
        self.batches().into_iter().filter(|batch| !batch.status.is_over()).collect()
    }

    /// The events that the header speaks of, from number `skip` on.
    pub fn events(&self, batch: &Batch, skip: usize, most: usize) -> io::Result<Vec<Event>> {
        self.lines(batch)?.skip(skip).take(most).map(read).collect()
    }

    /// All of them, one after the other: there may be more than memory should hold.
    pub fn each(&self, batch: &Batch) -> io::Result<impl Iterator<Item = io::Result<Event>> + Send + use<>> {
        Ok(self.lines(batch)?.map(read))
    }

    fn lines(&self, batch: &Batch) -> io::Result<io::Lines<BufReader<io::Take<File>>>> {
        let file =
            OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(self.event_file(batch.id))?;
        Ok(BufReader::new(io::Read::take(file, batch.cursor.event_bytes)).lines())
    }

    /// Removes the oldest that are over, so that at most `most` are kept.
    pub fn tidy(&self, most: usize) -> io::Result<()> {
        for batch in self.batches().into_iter().skip(most).filter(|batch| batch.status.is_over()) {
            // The header last: without it nobody would find the events again.
            match fs::remove_file(self.event_file(batch.id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::remove_file(self.header(batch.id))?,
            }
        }
        Ok(())
    }

    /// Says of those that nobody works on that they were interrupted.
    pub fn interrupt(&self) -> io::Result<()> {
        let running = self.unfinished().into_iter().filter(|batch| batch.status != BatchStatus::Interrupted);
        for mut batch in running {
            batch.status = BatchStatus::Interrupted;
            self.save(&batch)?;
        }
        Ok(())
    }
}

fn read(line: io::Result<String>) -> io::Result<Event> {
    Ok(serde_json::from_str(&line?)?)
}

fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.mode(FILE_MODE).open(path)
}

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        export::{
            reconcile::{batch::Asked, event::EventStatus},
            target::Resource,
        },
    };
    use std::os::unix::fs::PermissionsExt;

    fn batch(number: u128) -> Batch {
        let now = Timestamp::from_secs(i64::try_from(number).unwrap());
        Batch::new(Uuid::from_u128(number), &"hr".into(), vec![Resource::User], Asked::default(), now)
    }

    fn event(row_number: u64) -> Event {
        Event {
            row_number,
            status: EventStatus::Stale,
            resource_type: Resource::User,
            object: None,
            resource_id: Some(format!("r{row_number}")),
            resource_display_name: None,
            matched_by: None,
            changed: Vec::new(),
            before: None,
            after: None,
            why: None,
            pulled: Default::default(),
            as_of: 0,
        }
    }

    #[test]
    fn a_page_counts_once_the_header_says_so() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::new(data.path(), "hr");
        let mut batch = batch(1);
        folder.save(&batch).unwrap();
        batch.cursor.event_bytes = folder.append(&batch, &[event(1), event(2)]).unwrap();
        batch.cursor.row_number = 2;
        folder.save(&batch).unwrap();
        // A crash after the events and before the header.
        folder.append(&batch, &[event(3)]).unwrap();
        assert_eq!(folder.events(&batch, 0, 10).unwrap(), [event(1), event(2)]);
        let again = folder.unfinished().pop().unwrap();
        folder.cut(&again).unwrap();
        folder.append(&again, &[event(3)]).unwrap();
        let all =
            Batch { cursor: crate::export::reconcile::batch::Cursor { event_bytes: 1 << 20, ..again.cursor }, ..batch };
        assert_eq!(folder.events(&all, 1, 10).unwrap(), [event(2), event(3)]);
        for path in [folder.header(all.id), folder.event_file(all.id)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, FILE_MODE);
        }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_go() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::new(data.path(), "hr");
        for number in 1..=4 {
            let mut batch = batch(number);
            batch.status = if number == 1 { BatchStatus::Running } else { BatchStatus::Completed };
            folder.save(&batch).unwrap();
        }
        folder.tidy(2).unwrap();
        let ids = |folder: &Folder| folder.batches().iter().map(|b| b.id.as_u128()).collect::<Vec<_>>();
        assert_eq!(ids(&folder), [4, 3, 1]);
        folder.interrupt().unwrap();
        assert_eq!(folder.batch(Uuid::from_u128(1)).unwrap().status, BatchStatus::Interrupted);
        assert_eq!(folder.unfinished().len(), 1);
    }
}
