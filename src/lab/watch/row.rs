//! One line of the fleet: what is said of a board, and in which order boards stand.

use super::activity::Activity;
use super::board::{Board, Rail};
use super::fleet::{Fleet, Sight};
use super::marks::Mark;
use super::tokens::PerToken;
use crate::units::{MonoNs, Span};
use std::cmp::{Ordering, Reverse};

/// A rail that was not heard for this long has no power to show.
const STALE_AFTER: Span = Span::from_millis(5_000);

/// By what boards are sorted; those without the figure stand last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    #[default]
    Name,
    Group,
    /// Running, idle, offline.
    Activity,
    Queue,
    Power,
    Speed,
    Energy,
    /// What needs a look first.
    Health,
}

impl Sort {
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Group => "group",
            Self::Activity => "activity",
            Self::Queue => "queue",
            Self::Power => "power",
            Self::Speed => "tok/s",
            Self::Energy => "J/token",
            Self::Health => "health",
        }
    }

    pub fn next(self) -> Self {
        match self {
            Self::Name => Self::Group,
            Self::Group => Self::Activity,
            Self::Activity => Self::Queue,
            Self::Queue => Self::Power,
            Self::Power => Self::Speed,
            Self::Speed => Self::Energy,
            Self::Energy => Self::Health,
            Self::Health => Self::Name,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    pub board: &'a Board,
    pub activity: Activity<'a>,
    pub speed: Speed,
    pub marks: Vec<Mark>,
}

/// Of the job that runs, where it tells, else of the last that ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Speed {
    pub tok_s: Option<f64>,
    pub per_token: Option<PerToken>,
    pub live: bool,
}

impl<'a> Row<'a> {
    pub fn of(board: &'a Board, sight: Sight) -> Self {
        let activity = board.activity(sight);
        let marks = board.marks(sight, &activity);
        Self {
            speed: Speed::of(board, &activity),
            board,
            activity,
            marks,
        }
    }

    pub fn group(&self) -> Option<&'a str> {
        self.board.info.as_ref()?.group.as_deref()
    }

    pub fn profile(&self) -> Option<&'a str> {
        Some(self.board.info.as_ref()?.board.profile.as_str())
    }

    pub fn queued(&self) -> Option<u32> {
        self.board.status.as_ref()?.jobs_queued
    }

    /// Whether anything is known of its health.
    pub fn is_judged(&self) -> bool {
        self.class() < 2 && self.board.health.is_some() || !self.marks.is_empty()
    }

    /// Of the primary rail, as long as it is heard.
    pub fn power_w(&self, now: MonoNs) -> Option<f64> {
        power_w(self.board.primary()?, now)
    }

    fn mentions(&self, words: &str) -> bool {
        let run = self.board.run.as_ref().map(|run| run.id.as_str());
        let texts = [Some(&*self.board.name), self.group(), self.profile(), run];
        let mut texts = texts.into_iter().flatten();
        texts.any(|text| text.to_lowercase().contains(words))
    }

    fn class(&self) -> u8 {
        match self.activity {
            Activity::Runs(_) => 0,
            Activity::Idle => 1,
            Activity::Unknown => 2,
            Activity::Offline(_) => 3,
        }
    }
}

/// The power of a rail that is heard.
pub fn power_w(rail: &Rail, now: MonoNs) -> Option<f64> {
    let fresh = now.since(rail.at) <= STALE_AFTER;
    rail.record.power_w.filter(|_| fresh)
}

impl Speed {
    fn of(board: &Board, activity: &Activity) -> Self {
        if let Activity::Runs(running) = activity
            && running.run.tokens.tok_s().is_some()
        {
            return Self {
                tok_s: running.run.tokens.tok_s(),
                per_token: running.run.tokens.per_token(),
                live: true,
            };
        }
        board.last.as_ref().map_or_else(Self::default, |last| Self {
            tok_s: last.tok_s,
            per_token: last.per_token,
            live: false,
        })
    }
}

/// The boards that mention `filter`, in order.
pub fn rows<'a>(fleet: &'a Fleet, filter: &str, sort: Sort, now: MonoNs) -> Vec<Row<'a>> {
    let words = filter.to_lowercase();
    let all = fleet.boards.values();
    let mut rows: Vec<Row<'_>> = all
        .map(|board| Row::of(board, fleet.sight(now)))
        .filter(|row| row.mentions(&words))
        .collect();
    let falling = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    // Stable: equals stay in the order of their names.
    rows.sort_by(|a, b| match sort {
        Sort::Name => Ordering::Equal,
        Sort::Group => (a.group().is_none(), a.group()).cmp(&(b.group().is_none(), b.group())),
        Sort::Activity => a.class().cmp(&b.class()),
        Sort::Queue => Reverse(a.queued()).cmp(&Reverse(b.queued())),
        Sort::Power => falling(a.power_w(now), b.power_w(now)),
        Sort::Speed => falling(a.speed.tok_s, b.speed.tok_s),
        Sort::Energy => {
            let energy = |row: &Row<'_>| row.speed.per_token.map(|per| per.energy_j);
            falling(energy(a), energy(b))
        }
        Sort::Health => (a.marks.is_empty(), &a.marks).cmp(&(b.marks.is_empty(), &b.marks)),
    });
    rows
}
