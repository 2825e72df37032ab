//! What a disk may hold after a power cut, made from the journal of [`super::disk`].
//!
//! Of each file, everything before its last completed sync is there. Writes after it are there
//! or not, sector by sector, in any combination; so are truncations. Of each directory, the
//! names as of its last sync are there, and of later changes the first few.

use super::disk::{Change, Entry};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::path::Path;

/// What survives of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    Lost,
    Kept,
    /// Each sector and each change of a name by chance.
    Torn(u64),
}

enum Later {
    Write { offset: usize, data: Vec<u8> },
    Truncate { length: usize },
}

#[derive(Default)]
struct Content {
    synced: Vec<u8>,
    later: Vec<Later>,
}

#[derive(Clone, Copy)]
enum Node {
    Directory,
    File(usize),
}

enum Naming {
    Add(String, Node),
    Remove(String),
    Rename(String, String),
}

#[derive(Default)]
struct Platter {
    files: Vec<Content>,
    /// As the running system sees them.
    names: BTreeMap<String, Node>,
    synced: BTreeMap<String, Node>,
    /// By directory.
    later: BTreeMap<String, Vec<Naming>>,
}

/// Writes below `into` what may be left of an empty directory after these changes.
pub fn cut(journal: &[Entry], unsynced: Unsynced, into: &Path) {
    let mut platter = Platter::default();
    for entry in journal {
        platter.apply(entry);
    }
    platter.settle(unsynced, into);
}

fn parent(path: &str) -> String {
    path.rsplit_once('/')
        .map_or(String::new(), |(parent, _)| parent.to_owned())
}

impl Platter {
    fn apply(&mut self, entry: &Entry) {
        let path = entry.path.clone();
        match &entry.change {
            Change::Create => {
                self.files.push(Content::default());
                self.add(path, Node::File(self.files.len() - 1));
            }
            Change::Mkdir => self.add(path, Node::Directory),
            Change::Unlink => {
                self.names.remove(&path);
                self.named(Naming::Remove(path));
            }
            Change::Rename { to } => {
                assert_eq!(parent(&path), parent(to), "only within a directory");
                let node = self.names.remove(&path).expect("it has this name");
                self.names.insert(to.clone(), node);
                self.named(Naming::Rename(path, to.clone()));
            }
            Change::SyncDir => {
                for naming in self.later.remove(&path).unwrap_or_default() {
                    rename(&mut self.synced, naming);
                }
            }
            Change::Write { offset, data } => self.file(&path).later.push(Later::Write {
                offset: *offset as usize,
                data: data.clone(),
            }),
            Change::Truncate { length } => self.file(&path).later.push(Later::Truncate {
                length: *length as usize,
            }),
            Change::Sync => {
                let file = self.file(&path);
                for later in std::mem::take(&mut file.later) {
                    change(&mut file.synced, later);
                }
            }
        }
    }

    fn add(&mut self, path: String, node: Node) {
        self.names.insert(path.clone(), node);
        self.named(Naming::Add(path, node));
    }

    fn named(&mut self, naming: Naming) {
        let (Naming::Add(path, _) | Naming::Remove(path) | Naming::Rename(path, _)) = &naming;
        self.later.entry(parent(path)).or_default().push(naming);
    }

    fn file(&mut self, path: &str) -> &mut Content {
        match self.names.get(path) {
            Some(Node::File(file)) => &mut self.files[*file],
            _ => panic!("{path} was there before, or is no file"),
        }
    }

    fn settle(mut self, unsynced: Unsynced, into: &Path) {
        let mut rng = match unsynced {
            Unsynced::Torn(seed) => Rng::with_seed(seed),
            _ => Rng::with_seed(0),
        };
        for (_, changes) in std::mem::take(&mut self.later) {
            let survive = match unsynced {
                Unsynced::Lost => 0,
                Unsynced::Kept => changes.len(),
                Unsynced::Torn(_) => rng.usize(..=changes.len()),
            };
            for naming in changes.into_iter().take(survive) {
                rename(&mut self.synced, naming);
            }
        }
        // In the order of their paths: a directory comes before what is in it.
        for (path, node) in &self.synced {
            let at = into.join(path);
            match node {
                // What lies in a directory that is not there is not there.
                _ if !at.parent().is_some_and(Path::is_dir) => {}
                Node::Directory => std::fs::create_dir(at).expect("writable"),
                Node::File(file) => {
                    let file = &mut self.files[*file];
                    let mut content = std::mem::take(&mut file.synced);
                    for later in std::mem::take(&mut file.later) {
                        tear(&mut content, later, unsynced, &mut rng);
                    }
                    std::fs::write(at, content).expect("writable");
                }
            }
        }
    }
}

fn rename(names: &mut BTreeMap<String, Node>, naming: Naming) {
    match naming {
        Naming::Add(path, node) => {
            names.insert(path, node);
        }
        Naming::Remove(path) => {
            names.remove(&path);
        }
        Naming::Rename(from, to) => {
            if let Some(node) = names.remove(&from) {
                names.insert(to, node);
            }
        }
    }
}

fn change(content: &mut Vec<u8>, later: Later) {
    match later {
        Later::Write { offset, data } => {
            let end = offset + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[offset..end].copy_from_slice(&data);
        }
        Later::Truncate { length } => content.resize(length, 0),
    }
}

fn tear(content: &mut Vec<u8>, later: Later, unsynced: Unsynced, rng: &mut Rng) {
    match (unsynced, later) {
        (Unsynced::Lost, _) => {}
        (Unsynced::Kept, later) => change(content, later),
        (Unsynced::Torn(_), Later::Truncate { length }) => {
            if rng.bool() {
                content.resize(length, 0);
            }
        }
        (Unsynced::Torn(_), Later::Write { offset, data }) => {
            let sector = if rng.bool() { 512 } else { 4096 };
            let mut from = 0;
            while from < data.len() {
                let to = data.len().min(from + sector - (offset + from) % sector);
                if rng.bool() {
                    let part = data[from..to].to_vec();
                    let offset = offset + from;
                    change(content, Later::Write { offset, data: part });
                }
                from = to;
            }
        }
    }
}
