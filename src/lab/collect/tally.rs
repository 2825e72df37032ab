//! What was collected so far, in numbers.

use super::roller::Rolled;
use super::staging::{Kept, Standing};
use crate::lab::dataset::Table;
use crate::units::{MonoNs, Span};
use serde::Serialize;
use std::collections::BTreeMap;

/// Since this collector began.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    pub boards_online: usize,
    pub records: u64,
    pub tokens: u64,
    pub results: u64,
    pub duplicates: u64,
    /// Of these, other records of the same name: the first stays.
    pub conflicts: u64,
    /// Set aside.
    pub unreadable: u64,
    /// Samples for which there was no room while the disk took nothing.
    pub samples_left_out: u64,
    /// Of payloads.
    pub bytes: u64,
    pub reconnects: u64,
    /// Requests to boards for records that were missing.
    pub replays: u64,
    /// Attempts that miss something, of all collectors of the dataset.
    pub gaps_open: u64,
    /// Attempts of which no board has the rest any more.
    pub gaps_lost: u64,
    pub parts: u64,
    pub rows: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn add(&mut self, kept: &Kept) {
        self.records += kept.records;
        self.tokens += kept.tokens;
        self.results += kept.results;
        self.duplicates += kept.duplicates;
        self.conflicts += kept.conflicts;
        self.unreadable += kept.unreadable;
        self.bytes += kept.bytes;
    }

    pub fn stand(&mut self, standing: &Standing) {
        self.gaps_open = standing.open;
        self.gaps_lost = standing.lost;
    }

    pub fn roll(&mut self, rolled: &Rolled) {
        self.parts += rolled.parts;
        for (table, rows) in &rolled.rows {
            *self.rows.entry(Table::as_str(*table)).or_default() += rows;
        }
    }

    /// One line, with rates over the time since `before`.
    pub fn line(&self, before: &Self, took: Span) -> String {
        let seconds = (took.0 as f64 / 1e9).max(1e-9);
        let rate = |now: u64, then: u64| ((now - then) as f64 / seconds).round() as u64;
        let mut line = format!(
            "{} boards  {} records ({}/s)  {} tokens ({}/s)  {} results",
            self.boards_online,
            grouped(self.records),
            grouped(rate(self.records, before.records)),
            grouped(self.tokens),
            grouped(rate(self.tokens, before.tokens)),
            grouped(self.results),
        );
        let mut some = |count: u64, what: &str| {
            if count > 0 {
                line += &format!("  {} {what}", grouped(count));
            }
        };
        some(self.gaps_open, "gaps open");
        some(self.gaps_lost, "gaps lost");
        some(self.duplicates, "duplicates");
        some(self.conflicts, "conflicts");
        some(self.unreadable, "unreadable");
        some(self.samples_left_out, "samples left out");
        line
    }
}

/// Rates are of the last seconds, not of the whole time.
#[derive(Debug, Clone)]
pub struct Pace {
    before: Tally,
    since: MonoNs,
}

impl Pace {
    /// How far rates look back.
    const OVER: Span = Span::from_millis(5_000);

    pub fn new(now: MonoNs) -> Self {
        Self {
            before: Tally::default(),
            since: now,
        }
    }

    pub fn line(&mut self, tally: &Tally, now: MonoNs) -> String {
        let took = now.since(self.since);
        let line = tally.line(&self.before, took);
        if took >= Self::OVER {
            (self.before, self.since) = (tally.clone(), now);
        }
        line
    }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_rates_and_leaves_out_what_there_is_none_of() {
        let before = Tally {
            records: 1_000,
            tokens: 100_000,
            ..Tally::default()
        };
        let mut tally = Tally {
            boards_online: 2,
            records: 1_500,
            tokens: 1_234_567,
            results: 3,
            ..Tally::default()
        };
        let took = Span::from_millis(2_000);
        assert_eq!(
            tally.line(&before, took),
            "2 boards  1,500 records (250/s)  1,234,567 tokens (567,284/s)  3 results"
        );
        (tally.gaps_open, tally.duplicates) = (1, 12);
        let line = tally.line(&before, took);
        assert!(
            line.ends_with("3 results  1 gaps open  12 duplicates"),
            "{line}"
        );
    }

    #[test]
    fn digits_stand_in_groups_of_three() {
        let grouped = [0, 999, 1_000, 12_345_678].map(grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "12,345,678"]);
    }
}
