//! Puts a damaged store aside and makes a new one of what can be read in it. Every step may
//! be cut off and is taken up again at the next start: a mark beside the store names the
//! files that it goes to until the new one is in place.

use super::super::{StoreError, directory, schema};
use super::salvage::{self, Taken};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The files of one store.
#[derive(Debug, Clone)]
pub struct Files {
    dir: PathBuf,
    name: &'static str,
}

const SIDES: [&str; 2] = ["-wal", "-shm"];

impl Files {
    pub fn of(dir: &Path, name: &'static str) -> Self {
        Self {
            dir: dir.to_owned(),
            name,
        }
    }

    pub fn db(&self) -> PathBuf {
        self.dir.join(self.name)
    }

    /// Errors: nobody can tell, and no new one may be made.
    pub fn is_there(&self) -> Result<bool, StoreError> {
        self.db().try_exists().map_err(|source| self.failed(source))
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join(format!("{}-wal", self.name))
    }

    /// Says that the whole store is to be checked at the next start.
    pub fn doubt(&self) -> PathBuf {
        self.dir.join(format!("{}.check", self.name))
    }

    fn mark(&self) -> PathBuf {
        self.dir.join(format!("{}.set-aside", self.name))
    }

    fn unfinished(&self) -> PathBuf {
        self.dir.join(format!("{}.new", self.name))
    }

    /// A name for what is set aside now, which nothing has.
    fn free_name(&self, of: &str, unix_s: i64) -> String {
        let names = (0..).map(|n| match n {
            0 => format!("{of}.damaged-{unix_s}"),
            n => format!("{of}.damaged-{unix_s}.{n}"),
        });
        let mut free = names.filter(|name| !self.dir.join(name).exists());
        free.next().expect("a directory is not endless")
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::Create {
            path: self.dir.clone(),
            source,
        }
    }

    fn sync(&self) -> io::Result<()> {
        directory::sync(&self.dir)
    }

    /// Keeps a copy of the log as it is, before SQLite goes on with it. Returns its name.
    pub fn copy_log(&self, unix_s: i64) -> Result<String, StoreError> {
        let name = self.free_name(&format!("{}-wal", self.name), unix_s);
        let copy = || {
            let to = self.dir.join(&name);
            fs::copy(self.log(), &to)?;
            File::open(&to)?.sync_all()?;
            self.sync()
        };
        copy().map_err(|source| self.failed(source))?;
        Ok(name)
    }

    /// Sets the log of a store that is gone aside. Returns its name.
    pub fn move_log(&self, unix_s: i64) -> Result<String, StoreError> {
        let of = format!("{}-wal", self.name);
        let name = self.free_name(&of, unix_s);
        let index = self.dir.join(format!("{}-shm", self.name));
        let rest = name.strip_prefix(&of).expect("it begins so");
        let moved = || {
            // The log moves last: as long as it is there, this is done again.
            if index.exists() {
                fs::rename(&index, self.dir.join(format!("{}-shm{rest}", self.name)))?;
            }
            fs::rename(self.log(), self.dir.join(&name))?;
            self.sync()
        };
        moved().map_err(|source| self.failed(source))?;
        Ok(name)
    }

    /// Damaged files that were set aside and are still there.
    pub fn count_damaged(&self) -> u32 {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return 0;
        };
        let is_one = |name: &str| {
            let rest = name.strip_prefix(self.name);
            let rest = rest.map(|rest| rest.strip_prefix("-wal").unwrap_or(rest));
            rest.is_some_and(|rest| rest.starts_with(".damaged-"))
                && !SIDES.iter().any(|side| name.ends_with(side))
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| is_one(name)).count() as u32
    }

    /// Decides the name under which the store is set aside, and sets it aside.
    pub fn set_aside(&self, unix_s: i64) -> Result<(String, Taken), StoreError> {
        let name = self.free_name(self.name, unix_s);
        let write = || {
            let mut mark = File::create(self.mark())?;
            mark.write_all(name.as_bytes())?;
            mark.sync_all()?;
            self.sync()
        };
        write().map_err(|source| self.failed(source))?;
        let taken = self.go_on(&name)?;
        Ok((name, taken))
    }

    /// Goes on where a start was cut off that set the store aside.
    pub fn resume(&self) -> Result<Option<(String, Taken)>, StoreError> {
        let name = match fs::read(self.mark()) {
            Ok(name) => String::from_utf8_lossy(&name).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // What was moved away already must not be taken for a store that never was.
            Err(error) => return Err(self.failed(error)),
        };
        // Cut off before the name was whole: nothing has been moved yet.
        if !name.starts_with(&format!("{}.damaged-", self.name)) || name.contains('/') {
            fs::remove_file(self.mark()).map_err(|source| self.failed(source))?;
            return Ok(None);
        }
        let taken = self.go_on(&name)?;
        Ok(Some((name, taken)))
    }

    fn go_on(&self, name: &str) -> Result<Taken, StoreError> {
        let aside = self.dir.join(name);
        // The store itself moves last: once it has, everything has.
        if !aside.exists() {
            self.move_to(&aside).map_err(|source| self.failed(source))?;
        }
        let taken = match self.db().exists() {
            // The new one was in place already; what it took over has been forgotten.
            true => Taken::default(),
            false => self.make(Some(&aside))?,
        };
        let done = fs::remove_file(self.mark()).and_then(|()| self.sync());
        done.map_err(|source| self.failed(source))?;
        Ok(taken)
    }

    fn move_to(&self, aside: &Path) -> io::Result<()> {
        for side in SIDES {
            let with = |path: &Path| {
                let mut name = path.as_os_str().to_owned();
                name.push(side);
                PathBuf::from(name)
            };
            let (from, to) = (with(&self.db()), with(aside));
            if from.exists() && !to.exists() {
                fs::rename(from, to)?;
            }
        }
        if self.db().exists() {
            fs::rename(self.db(), aside)?;
        }
        self.sync()
    }

    /// Makes a store, whole before it has its name.
    pub fn make(&self, damaged: Option<&Path>) -> Result<Taken, StoreError> {
        let path = self.unfinished();
        for end in ["", "-wal", "-shm"] {
            let mut left = path.as_os_str().to_owned();
            left.push(end);
            match fs::remove_file(left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed(error));
                }
                _ => {}
            }
        }
        let named = |source| StoreError::Sqlite {
            path: path.clone(),
            source,
        };
        let mut db = schema::open(&path)?;
        let taken = match damaged {
            Some(damaged) => salvage::take_over(damaged, &mut db).map_err(named)?,
            None => Taken::default(),
        };
        // Into the one file that is renamed.
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(named)?;
        db.close().map_err(|(_, source)| named(source))?;
        let place = fs::rename(&path, self.db()).and_then(|()| self.sync());
        place.map_err(|source| self.failed(source))?;
        Ok(taken)
    }
}
