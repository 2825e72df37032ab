//! The tables of a dataset.

use super::column::ColumnInfo;
use super::tables;
use std::fmt;

/// Each has the columns `date` and `device` too: of the folder names in Parquet and CSV, and in
/// the table itself in SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Tokens,
    Trace,
    Rails,
    Health,
    Sensors,
    States,
    Events,
    Phases,
    Runs,
    Results,
}

impl Table {
    /// In the order in which they are written: who sees a result sees what belongs to it.
    pub const ALL: [Self; 10] = [
        Self::Tokens,
        Self::Trace,
        Self::Rails,
        Self::Health,
        Self::Sensors,
        Self::States,
        Self::Events,
        Self::Phases,
        Self::Runs,
        Self::Results,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Trace => "trace",
            Self::Rails => "rails",
            Self::Health => "health",
            Self::Sensors => "sensors",
            Self::States => "states",
            Self::Events => "events",
            Self::Phases => "phases",
            Self::Runs => "runs",
            Self::Results => "results",
        }
    }

    /// What a row is, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Tokens => "A row a token of the primary rail, as the board published it",
            Self::Trace => "A row a window of a rail's power trace, of jobs with `publish.trace`",
            Self::Rails => "A row a live record of a rail, at most one a second",
            Self::Health => "A row a health record: queue, outbox, memory, disk",
            Self::Sensors => "A row a sensor of a health record",
            Self::States => "A row a state of a job, also of jobs that ended without a result",
            Self::Events => "A row an event: rejections, faults, recoveries",
            Self::Phases => {
                "A row an interval of a rail's timeline; a rail's intervals add up to its total"
            }
            Self::Runs => "A row a repetition; energies are of the primary rail",
            Self::Results => "A row an attempt: what ran, on what, and what it cost",
        }
    }

    /// Without `date` and `device`.
    pub fn columns(self) -> &'static [ColumnInfo] {
        tables::columns(self)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
