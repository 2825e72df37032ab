//! What of a study has been sent where, and what became of it. From it follows what a board is
//! to run next, so that a study goes on from the book alone.

use super::cooling::Cooled;
use super::manifest::Spread;
use super::order::Slot;
use super::seat::Seat;
use super::study::Study;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the file.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Point,
    Baseline,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Baseline => "baseline",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is about to be sent, or was, and has not ended.
    Sent,
    Succeeded,
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// The board did not take it.
    Refused,
}

/// A job of the study on a board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub id: String,
    pub device: String,
    pub role: Role,
    /// From 1: of the point in the study, or of the baseline's runs on the board.
    pub number: usize,
    /// The point's label.
    pub point: String,
    /// Of the job without its id: the same in another study means the same.
    pub content: String,
    /// From 1; of the baseline 0.
    pub round: u32,
    /// From 1: how often it was tried.
    pub trial: u32,
    pub state: Standing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From sending it to its end, where this was seen without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_s: Option<f64>,
    /// How the board was when it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooled: Option<Cooled>,
    /// The study of the same name that it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over_from: Option<String>,
    /// Its failure counts no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgiven: bool,
}

/// Jobs in the order in which they were sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Book {
    pub v: u32,
    pub study: String,
    pub hash: String,
    pub boards: Vec<String>,
    pub items: Vec<Item>,
}

/// What a board is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    pub role: Role,
    /// Of the point in the study's list from 0, or of the baseline's run from 1.
    pub number: usize,
    pub round: u32,
    pub trial: u32,
}

/// What became of a slot so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slotted {
    /// Nothing more is to be sent.
    Settled,
    Again {
        trial: u32,
    },
}

impl Slotted {
    fn of(tries: &[&Item], retries: u32) -> Self {
        let counted = || tries.iter().filter(|item| !item.forgiven);
        let ends = |item: &&Item| item.state != Standing::Failed;
        match counted().any(ends) || counted().count() > retries as usize {
            true => Self::Settled,
            false => Self::Again {
                trial: tries.iter().map(|item| item.trial).max().unwrap_or(0) + 1,
            },
        }
    }
}

impl Book {
    pub fn new(study: &Study) -> Self {
        Self {
            v: VERSION,
            study: study.name.clone(),
            hash: study.hash.clone(),
            boards: Vec::new(),
            items: Vec::new(),
        }
    }

    /// What the board is to run next, of the points that fit it; `None` for now, or for good.
    pub fn next(&self, study: &Study, seat: &Seat) -> Option<Task> {
        let point = self.next_point(study, seat);
        if study.baseline.is_none() || !seat.fits(None) {
            return point;
        }
        let mine = self.items.iter().filter(|item| item.device == seat.device);
        let mine: Vec<&Item> = mine.filter(|item| item.taken_over_from.is_none()).collect();
        let last = mine.iter().rposition(|item| item.role == Role::Baseline);
        let baseline = |number, trial| {
            Some(Task {
                role: Role::Baseline,
                number,
                round: 0,
                trial,
            })
        };
        let Some(last) = last else {
            // Where nothing is to be compared there is nothing to compare with.
            return point.and_then(|_| baseline(1, 1));
        };
        let run = mine[last];
        let since = mine.len() - 1 - last;
        let is_try = |item: &&Item| item.role == Role::Baseline && item.number == run.number;
        let tries: Vec<&Item> = mine.iter().copied().filter(is_try).collect();
        if let Slotted::Again { trial } = Slotted::of(&tries, study.retries) {
            return baseline(run.number, trial);
        }
        let is_due = study.every.is_some_and(|every| since >= every as usize);
        match point {
            Some(point) if !is_due => Some(point),
            _ if since > 0 => baseline(run.number + 1, 1),
            point => point,
        }
    }

    fn next_point(&self, study: &Study, seat: &Seat) -> Option<Task> {
        let slots = self.slots(study, &seat.device);
        let mut again = None;
        for slot in &seat.order {
            if !seat.fits(Some(slot.point)) {
                continue;
            }
            let task = |trial| Task {
                role: Role::Point,
                number: slot.point,
                round: slot.round,
                trial,
            };
            match slots.get(slot) {
                None => return Some(task(1)),
                Some(Slotted::Settled) => {}
                Some(Slotted::Again { trial }) => again = again.or(Some(task(*trial))),
            }
        }
        again
    }

    /// Whether the point has succeeded in every round: on this board, or where any may have it on
    /// whichever.
    pub fn has(&self, study: &Study, device: &str, point: usize) -> bool {
        let succeeded = |round: u32| {
            self.items.iter().any(|item| {
                item.role == Role::Point
                    && (item.number, item.round) == (point + 1, round)
                    && item.state == Standing::Succeeded
                    && (study.spread == Spread::Any || item.device == device)
            })
        };
        (1..=study.rounds).all(succeeded)
    }

    /// Slots of which something was sent: to this board, or where any may have it to whichever.
    fn slots(&self, study: &Study, device: &str) -> BTreeMap<Slot, Slotted> {
        let mut tries: BTreeMap<Slot, Vec<&Item>> = BTreeMap::new();
        for item in &self.items {
            let concerns = study.spread == Spread::Any || item.device == device;
            if concerns && item.role == Role::Point {
                let slot = Slot {
                    round: item.round,
                    point: item.number - 1,
                };
                tries.entry(slot).or_default().push(item);
            }
        }
        let slots = tries.into_iter();
        slots
            .map(|(slot, tries)| (slot, Slotted::of(&tries, study.retries)))
            .collect()
    }

    /// Whether what the item is a try of is not tried again.
    pub fn is_settled(&self, study: &Study, item: &Item) -> bool {
        let shared = study.spread == Spread::Any && item.role == Role::Point;
        let is_try = |known: &&Item| {
            (known.role, known.number, known.round) == (item.role, item.number, item.round)
                && (shared || known.device == item.device)
                && known.taken_over_from.is_none()
        };
        let tries: Vec<&Item> = self.items.iter().filter(is_try).collect();
        Slotted::of(&tries, study.retries) == Slotted::Settled
    }

    /// The task as an item that is about to be sent.
    pub fn begin(
        &mut self,
        study: &Study,
        device: &str,
        task: Task,
        cooled: Option<Cooled>,
    ) -> usize {
        let point = match task.role {
            Role::Point => Some(&study.points[task.number]),
            Role::Baseline => study.baseline.as_ref(),
        };
        let point = point.expect("a task of the baseline is of a study that has one");
        self.items.push(Item {
            id: id(study, task),
            device: device.to_owned(),
            role: task.role,
            number: match task.role {
                Role::Point => task.number + 1,
                Role::Baseline => task.number,
            },
            point: point.label.clone(),
            content: point.content.clone(),
            round: task.round,
            trial: task.trial,
            state: Standing::Sent,
            reason: None,
            took_s: None,
            cooled,
            taken_over_from: None,
            forgiven: false,
        });
        self.items.len() - 1
    }

    /// Jobs that have not ended.
    pub fn open(&self) -> impl Iterator<Item = (usize, &Item)> {
        let items = self.items.iter().enumerate();
        items.filter(|(_, item)| item.state == Standing::Sent)
    }

    /// Gives what did not succeed another try.
    pub fn forgive(&mut self) {
        for item in &mut self.items {
            let ended_badly = !matches!(item.state, Standing::Sent | Standing::Succeeded);
            item.forgiven |= ended_badly;
        }
    }

    /// Points of another study that are points of this one too, and have succeeded there, with the
    /// runs of the same baseline that they lay between.
    pub fn take_over(&mut self, study: &Study, other: &Self) {
        let succeeded = || {
            let items = other.items.iter();
            items.filter(|item| item.state == Standing::Succeeded)
        };
        for item in succeeded().filter(|item| item.role == Role::Point) {
            let same = |point: &super::study::Point| point.content == item.content;
            let Some(point) = study.points.iter().position(same) else {
                continue;
            };
            let slot = |known: &Item| {
                known.role == Role::Point
                    && known.number == point + 1
                    && known.round == item.round
                    && (study.spread == Spread::Any || known.device == item.device)
            };
            if item.round > study.rounds || self.items.iter().any(slot) {
                continue;
            }
            self.items.push(Item {
                number: point + 1,
                point: study.points[point].label.clone(),
                ..other.handed_over(item)
            });
        }
        let Some(baseline) = &study.baseline else {
            return;
        };
        let same = |item: &&Item| item.role == Role::Baseline && item.content == baseline.content;
        for item in succeeded().filter(same) {
            let item = Item {
                point: baseline.label.clone(),
                ..other.handed_over(item)
            };
            let brackets = |known: &Item| {
                known.role == Role::Point
                    && known.device == item.device
                    && known.taken_over_from == item.taken_over_from
            };
            let is_it = |known: &Item| known.device == item.device && known.id == item.id;
            if self.items.iter().any(brackets) && !self.items.iter().any(is_it) {
                self.items.push(item);
            }
        }
    }

    /// One of its items as it stands in the book of another study.
    fn handed_over(&self, item: &Item) -> Item {
        let from = item.taken_over_from.clone();
        Item {
            taken_over_from: Some(from.unwrap_or_else(|| self.hash.clone())),
            ..item.clone()
        }
    }

    /// A job that is not what the manifest means now: a file beside it has changed.
    pub fn stale(&self, study: &Study) -> Option<&Item> {
        self.items.iter().find(|item| {
            let point = match item.role {
                Role::Point => study.points.get(item.number - 1),
                Role::Baseline => study.baseline.as_ref(),
            };
            point.is_none_or(|point| point.content != item.content)
        })
    }
}

/// The study's name in ids, which have 64 characters.
const LONGEST_NAME: usize = 24;
const HASH_DIGITS: usize = 10;

/// The same for the same task of the same study.
pub fn id(study: &Study, task: Task) -> String {
    let name: String = study.name.chars().take(LONGEST_NAME).collect();
    let hash = &study.hash[..HASH_DIGITS];
    let what = match task.role {
        Role::Point => format!("p{:03}-r{}", task.number + 1, task.round),
        Role::Baseline => format!("b{:03}", task.number),
    };
    let again = match task.trial {
        1 => String::new(),
        trial => format!("-t{trial}"),
    };
    format!("{name}-{hash}-{what}{again}")
}

#[cfg(test)]
mod tests;
