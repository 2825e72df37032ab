//! The folder `studies` of a dataset: manifests as they were, and how far each study is.

use super::book::{Book, VERSION};
use super::manifest::Source;
use super::study::Study;
use crate::lab::LabError;
use crate::lab::alone::{self, Alone};
use crate::lab::dataset::{DatasetError, replace};
use std::io::Write;
use std::path::{Path, PathBuf};

pub const FOLDER: &str = "studies";

/// Whether a study may go on where another of its name has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    Refused,
    Extended,
}

/// Where a study's book is kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    hash: String,
}

impl Folder {
    pub fn of(root: &Path, hash: &str) -> Self {
        Self {
            path: root.join(FOLDER),
            hash: hash.to_owned(),
        }
    }

    pub fn manifest(&self) -> PathBuf {
        self.path.join(format!("{}.toml", self.hash))
    }

    pub fn book(&self) -> PathBuf {
        self.path.join(format!("{}.json", self.hash))
    }

    /// The study's book, or a new one.
    ///
    /// Errors: the folder has another study of this name and `others` are refused, or the jobs
    /// in the book are not what the manifest means now.
    pub fn open(&self, study: &Study, others: Others) -> Result<Book, LabError> {
        let known = self.known()?;
        let mut book = Book::new(study);
        if let Some(own) = known.iter().find(|book| book.hash == study.hash) {
            if let Some(item) = own.stale(study) {
                return Err(LabError::Usage(format!(
                    "{}: job {} was another one when the study began: a file that the manifest \
                     names has changed. Put it back, or give the study another name",
                    self.book().display(),
                    item.id
                )));
            }
            book = own.clone();
        }
        let namesakes = known
            .iter()
            .filter(|other| other.study == study.name && other.hash != study.hash);
        for other in namesakes {
            let is_new = book.items.is_empty() && book.boards.is_empty();
            match others {
                Others::Extended => book.take_over(study, other),
                Others::Refused if is_new => return Err(self.refused(study, other)),
                // Both have been here before.
                Others::Refused => {}
            }
        }
        Ok(book)
    }

    fn refused(&self, study: &Study, other: &Book) -> LabError {
        LabError::Usage(format!(
            "{}: the study {} began here with another manifest ({}.toml, {} jobs). With --extend \
             both belong together, and points that are the same in both are taken over; else \
             name another --out, or give the study another name",
            self.path.display(),
            study.name,
            other.hash,
            other.items.len()
        ))
    }

    /// Books of all studies here. What is no book of this version is an error: jobs could run
    /// twice without it.
    pub fn known(&self) -> Result<Vec<Book>, LabError> {
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| failed(&self.path, &error))?,
        };
        let mut books = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| failed(&self.path, &error))?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden || path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
            let book: Book = serde_json::from_str(&text).map_err(|error| {
                LabError::Failed(format!(
                    "{}: not the book of a study ({error}); it is written whole or not at all, so \
                     that something else has changed it",
                    path.display()
                ))
            })?;
            if book.v > VERSION {
                return Err(LabError::Usage(format!(
                    "{}: a newer joulectl has made it (version {}, this one knows {VERSION}); use \
                     that one",
                    path.display(),
                    book.v
                )));
            }
            books.push(book);
        }
        Ok(books)
    }

    /// Keeps the manifest as it is now.
    pub fn keep(&self, source: &Source) -> Result<(), LabError> {
        self.write(&self.manifest(), source.text.as_bytes())
    }

    /// Writes the book, whole or not at all.
    pub fn save(&self, book: &Book) -> Result<(), LabError> {
        let text = serde_json::to_string_pretty(book).expect("a book has only JSON-able fields");
        self.write(&self.book(), format!("{text}\n").as_bytes())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), LabError> {
        let written = replace(path, |mut file| match file.write_all(bytes) {
            Ok(()) => Ok(file),
            Err(source) => Err(DatasetError::Io {
                path: path.to_owned(),
                source,
            }),
        });
        written?;
        Ok(())
    }

    /// One command at a time works on a study of this folder. The lock goes with the process.
    pub fn lock(&self) -> Result<Alone, LabError> {
        let name = format!(".{}.lock", self.hash);
        alone::lock(&self.path, &name, "joulectl sweep works on this study")
    }
}

fn failed(path: &Path, error: &std::io::Error) -> LabError {
    LabError::Failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sweep::book::Standing;
    use crate::lab::sweep::testing::{seat, study};

    #[test]
    fn a_book_is_found_again_and_another_manifest_of_the_name_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let old = study(2);
        let folder = Folder::of(root.path(), &old.hash);
        let mut book = folder.open(&old, Others::Refused).unwrap();
        assert!(book.items.is_empty());
        let _lock = folder.lock().unwrap();
        let error = folder.lock().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        book.boards.push("a".to_owned());
        let task = book.next(&old, &seat(&old, "a")).unwrap();
        let at = book.begin(&old, "a", task, None);
        book.items[at].state = Standing::Succeeded;
        folder.save(&book).unwrap();
        assert_eq!(folder.open(&old, Others::Refused).unwrap(), book);

        let new = study(3);
        let other = Folder::of(root.path(), &new.hash);
        let error = other.open(&new, Others::Refused).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let said = error.to_string();
        assert!(
            said.contains("--extend") && said.contains(&old.hash),
            "{said}"
        );
        let extended = other.open(&new, Others::Extended).unwrap();
        assert_eq!(extended.items.len(), 1);
        let mut renamed = new.clone();
        renamed.name = "other".to_owned();
        assert!(other.open(&renamed, Others::Refused).is_ok());
    }

    #[test]
    fn a_book_that_is_none_stops_the_study() {
        let root = tempfile::tempdir().unwrap();
        let study = study(1);
        let folder = Folder::of(root.path(), &study.hash);
        folder.save(&Book::new(&study)).unwrap();
        std::fs::write(folder.book(), "{").unwrap();
        let error = folder.open(&study, Others::Refused).unwrap_err();
        assert!(
            error.to_string().contains("not the book of a study"),
            "{error}"
        );
        let mut later = Book::new(&study);
        later.v = 2;
        folder.save(&later).unwrap();
        let error = folder.open(&study, Others::Refused).unwrap_err();
        assert!(error.to_string().contains("newer"), "{error}");
    }
}
