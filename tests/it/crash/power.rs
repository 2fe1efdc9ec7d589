//! A disk whose power can be cut: an ext4 image that the server writes to through a loop mount, in
//! a file system that clones files atomically. A clone holds what the disk had at one moment,
//! without anything that only the kernel's memory had; it is mounted as after a power cut.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

pub struct Place {
    // Dropped in this order: a mounted folder cannot be removed.
    _inner: Mount,
    _outer: Mount,
    folder: TempDir,
}

/// A mounted clone; taken down when dropped.
pub struct Clone {
    _mount: Mount,
    folder: TempDir,
    image: PathBuf,
}

/// A loop mount; dropping it takes it down.
struct Mount(PathBuf);

impl Place {
    pub fn new() -> Result<Self, String> {
        for tool in ["mkfs.xfs", "mkfs.ext4", "mount"] {
            run(tool, &["-V"]).map_err(|_| format!("{tool} is not there"))?;
        }
        let folder = TempDir::new().map_err(|e| e.to_string())?;
        let at = |name: &str| folder.path().join(name);
        image(&at("outer.img"), OUTER_BYTES)?;
        run("mkfs.xfs", &["-q", "-m", "reflink=1", text(&at("outer.img"))])?;
        let outer = Mount::new(&at("outer.img"), &at("outer"))?;
        let disk = at("outer/disk.img");
        image(&disk, INNER_BYTES)?;
        run("mkfs.ext4", &["-q", "-F", text(&disk)])?;
        let inner = Mount::new(&disk, &at("inner"))?;
        // The first clone shows whether clones work at all.
        clone(&disk, &at("outer/try.img"))?;
        fs::remove_file(at("outer/try.img")).map_err(|e| e.to_string())?;
        Ok(Place { _inner: inner, _outer: outer, folder })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("inner/data")
    }

    /// The disk as it is at this moment, mounted.
    pub fn cut(&self) -> Result<Clone, String> {
        let outer = self.folder.path().join("outer");
        let image = outer.join("clone.img");
        clone(&outer.join("disk.img"), &image)?;
        let folder = TempDir::new().map_err(|e| e.to_string())?;
        let mount = Mount::new(&image, &folder.path().join("disk"))?;
        Ok(Clone { _mount: mount, folder, image })
    }
}

impl Clone {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("disk/data")
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        // The mount holds the file until it goes; the name can go now.
        let _ = fs::remove_file(&self.image);
    }
}

impl Mount {
    fn new(image: &Path, at: &Path) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|e| e.to_string())?;
        run("mount", &["-o", "loop", text(image), text(at)])?;
        Ok(Mount(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a server that is being killed may still have it open.
        let _ = run("umount", &["-l", text(&self.0)]);
    }
}

const OUTER_BYTES: u64 = 3 << 30;
const INNER_BYTES: u64 = 1 << 30;

/// A file of this size that takes no space yet.
fn image(path: &Path, bytes: u64) -> Result<(), String> {
    fs::File::create(path).and_then(|file| file.set_len(bytes)).map_err(|e| e.to_string())
}

fn clone(from: &Path, to: &Path) -> Result<(), String> {
    run("cp", &["--reflink=always", text(from), text(to)])
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
