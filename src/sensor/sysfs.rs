//! Numbers from sysfs: files opened once and read with pread.

use super::PollError;
use crate::clock;
use crate::units::{MonoNs, Span};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Neither RAPL nor a generic hwmon chip states an error limit for its power: this one is
/// assumed, so that a figure never looks exact.
pub(super) const ASSUMED_GAIN: (&str, f64) = ("gain-assumed", 0.05);

/// Why a file gave no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    /// The file or the device behind it went away: look for it anew.
    #[error("{0}")]
    Gone(String),
    /// The driver has the channel switched off.
    #[error("{0}")]
    Disabled(String),
    #[error(
        "{}: permission denied; let udev or tmpfiles.d give the group that runs jouled read \
         access to it",
        .0.display()
    )]
    Denied(PathBuf),
    /// Everything else: no answer, half a number.
    #[error("{0}")]
    Failed(String),
}

/// One reading and the exchange that delivered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub t0: MonoNs,
    pub t1: MonoNs,
    pub value: i64,
}

impl Reading {
    /// The middle of the exchange.
    pub fn at(&self) -> MonoNs {
        middle(self.t0, self.t1)
    }
}

pub(super) fn middle(t0: MonoNs, t1: MonoNs) -> MonoNs {
    t0 + Span(t1.since(t0).0 / 2)
}

/// A file with one decimal number. It stays open from the first reading on, and is opened
/// anew by its path after an error and when it has been replaced.
#[derive(Debug)]
pub(super) struct NumberFile {
    path: PathBuf,
    file: Option<File>,
    /// Whether its numbers end in a newline, as the kernel's do: then one without is half
    /// written.
    newline: bool,
}

impl NumberFile {
    pub fn new(path: PathBuf) -> NumberFile {
        NumberFile {
            path,
            file: None,
            newline: false,
        }
    }

    pub fn read(&mut self) -> Result<Reading, ReadError> {
        let outcome = self.exchange();
        if outcome.is_err() {
            self.file = None;
        }
        outcome
    }

    fn exchange(&mut self) -> Result<Reading, ReadError> {
        // An open file outlives its name; what is read from it then is no longer news.
        let linked = |file: &File| file.metadata().is_ok_and(|facts| facts.nlink() > 0);
        let file = match self.file.take().filter(linked) {
            Some(file) => file,
            None => File::open(&self.path).map_err(|error| self.failed(&error))?,
        };
        let mut bytes = [0; 32];
        let t0 = clock::now();
        let length = file.read_at(&mut bytes, 0);
        let t1 = clock::now();
        let length = length.map_err(|error| self.failed(&error))?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        let value = whole_number(&text, self.newline);
        // A writer is done by the next reading: one that never writes newlines loses one.
        self.newline = text.ends_with('\n');
        let value = value.ok_or_else(|| {
            ReadError::Failed(format!(
                "{}: `{}` is no whole number: half written?",
                self.path.display(),
                text.trim()
            ))
        })?;
        self.file = Some(file);
        Ok(Reading { t0, t1, value })
    }

    fn failed(&self, error: &io::Error) -> ReadError {
        let what = self.path.display();
        match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NODEV) => {
                ReadError::Gone(format!("{what}: the device is gone ({error})"))
            }
            Some(Errno::NODATA) => {
                ReadError::Disabled(format!("{what}: the driver has this channel disabled"))
            }
            Some(Errno::ACCESS | Errno::PERM) => ReadError::Denied(self.path.clone()),
            Some(Errno::NXIO | Errno::REMOTEIO | Errno::TIMEDOUT | Errno::IO) => {
                ReadError::Failed(format!("{what}: the chip doesn't answer ({error})"))
            }
            _ => ReadError::Failed(format!("{what}: {error}")),
        }
    }
}

/// The number that `text` is; `None` where it lacks the newline that is due.
pub(super) fn whole_number(text: &str, newline_due: bool) -> Option<i64> {
    let whole = text.ends_with('\n') || !newline_due;
    text.trim().parse().ok().filter(|_| whole)
}

/// What a sweep over several files came to, for [`super::Source::poll`]: a failure leaves
/// the other rails alone, and only when every file is gone is the source to be opened anew.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    first: Option<ReadError>,
    tried: usize,
    gone: usize,
}

impl Outcome {
    pub fn of<T>(&mut self, result: Result<T, ReadError>) -> Option<T> {
        self.tried += 1;
        result
            .map_err(|error| {
                self.gone += usize::from(matches!(error, ReadError::Gone(_)));
                self.first.get_or_insert(error);
            })
            .ok()
    }

    pub fn some_gone(&self) -> bool {
        self.gone > 0
    }

    /// `say` puts the first failure into words.
    pub fn result(self, say: impl Fn(&ReadError) -> String) -> Result<(), PollError> {
        match self.first {
            None => Ok(()),
            Some(error) if self.gone == self.tried => Err(PollError::Fatal(say(&error))),
            Some(error) => Err(PollError::Retry(say(&error))),
        }
    }
}

/// The trimmed text of a small file.
pub(super) fn text(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The number in a small file that doesn't change.
pub(super) fn number(path: &Path) -> Option<i64> {
    text(path)?.parse().ok()
}

/// The folder's entries, in order of their names.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    // hwmon10 after hwmon9.
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    paths
}

/// The last part of a path, where it is text.
pub(super) fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::testing::Tree;

    #[test]
    fn what_is_half_written_is_no_number() {
        let tree = Tree::new();
        tree.write("power", "5120\n");
        let mut file = NumberFile::new(tree.path("power"));
        assert_eq!(file.read().unwrap().value, 5120);
        for half in ["", "\n", "-", "51", "12 34\n"] {
            tree.write("power", half);
            let error = file.read().unwrap_err();
            assert!(matches!(error, ReadError::Failed(_)), "{half}: {error}");
            tree.write("power", "-392\n");
            assert_eq!(file.read().unwrap().value, -392);
        }
    }

    #[test]
    fn a_writer_without_newlines_is_understood() {
        let tree = Tree::new();
        tree.write("power", "1");
        let mut file = NumberFile::new(tree.path("power"));
        for value in ["1", "22", "3"] {
            tree.write("power", value);
            assert_eq!(file.read().unwrap().value.to_string(), value);
        }
    }

    #[test]
    fn a_replaced_file_is_read_anew_and_a_removed_one_is_gone() {
        let tree = Tree::new();
        tree.write("power", "1\n");
        let mut file = NumberFile::new(tree.path("power"));
        file.read().unwrap();
        tree.write("new", "2\n");
        std::fs::rename(tree.path("new"), tree.path("power")).unwrap();
        assert_eq!(file.read().unwrap().value, 2);
        std::fs::remove_file(tree.path("power")).unwrap();
        assert!(matches!(file.read().unwrap_err(), ReadError::Gone(_)));
    }

    #[test]
    fn the_kernels_answers_are_told_apart() {
        let file = NumberFile::new("/sys/x".into());
        let told = |errno: Errno| file.failed(&io::Error::from(errno));
        assert!(matches!(told(Errno::NODEV), ReadError::Gone(_)));
        assert!(matches!(told(Errno::NODATA), ReadError::Disabled(_)));
        assert!(matches!(told(Errno::REMOTEIO), ReadError::Failed(_)));
        assert!(matches!(told(Errno::AGAIN), ReadError::Failed(_)));
        assert!(told(Errno::ACCESS).to_string().contains("tmpfiles.d"));
    }

    #[test]
    fn only_when_everything_is_gone_is_the_source_opened_anew() {
        let gone = || Err::<(), _>(ReadError::Gone("gone".into()));
        let mut some = Outcome::default();
        some.of(gone());
        some.of(Ok(()));
        assert!(some.some_gone());
        assert!(matches!(
            some.result(ReadError::to_string),
            Err(PollError::Retry(_))
        ));
        let mut all = Outcome::default();
        all.of(gone());
        assert!(matches!(
            all.result(ReadError::to_string),
            Err(PollError::Fatal(_))
        ));
        assert_eq!(Outcome::default().result(ReadError::to_string), Ok(()));
    }
}
