//! How far a study is, and how long the rest takes.

use super::Session;
use crate::lab::sweep::book::{Item, Standing};
use crate::lab::sweep::cooling::Cooling;
use crate::lab::sweep::estimate::mean;
use crate::lab::sweep::plan::point;
use crate::lab::sweep::show::{Progress, name};
use std::collections::BTreeMap;

impl Session<'_> {
    pub(super) fn progress(&self) -> Progress {
        let ended = |item: &&Item| item.state != Standing::Sent;
        let done = self.book.items.iter().filter(ended).count();
        let now = self.posts.iter().filter_map(|post| {
            let device = post.board.name();
            if let Some(celsius) = post.cooling.as_ref().and_then(Cooling::celsius) {
                return Some(format!("{device}: cools down, {celsius:.1} °C"));
            }
            let first = post.sent.first()?;
            let item = &self.book.items[first.item];
            Some(format!("{device}: {}", name(item)))
        });
        Progress {
            done,
            jobs: done + self.coming.len(),
            left_s: self.left_s(),
            now: now.collect(),
        }
    }

    /// How long the rest takes on the board that takes longest, by what its jobs took; `None`
    /// while nothing tells.
    fn left_s(&self) -> Option<f64> {
        let mut took: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for item in &self.book.items {
            let known = item.took_s.filter(|_| item.state == Standing::Succeeded);
            took.entry(&item.content).or_default().extend(known);
        }
        let mean = |values: &mut dyn Iterator<Item = f64>| mean(values.map(Some));
        let usual = mean(&mut took.values().flatten().copied());
        let mut left = vec![0.0; self.posts.len()];
        for coming in &self.coming {
            let content = point(self.study, coming.task).content.as_str();
            let same = took.get(content);
            let same = same.and_then(|same| mean(&mut same.iter().copied()));
            let time_s = same.or(coming.estimate.time_s).or(usual)?;
            if let Some(left) = left.get_mut(coming.seat) {
                *left += time_s;
            }
        }
        left.into_iter().reduce(f64::max)
    }
}
