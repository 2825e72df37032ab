//! How far a study is, and how long the rest takes.

use super::Session;
use crate::lab::sweep::book::{Item, Role, Standing};
use crate::lab::sweep::cooling::Cooling;
use crate::lab::sweep::estimate::mean;
use crate::lab::sweep::manifest::Spread;
use crate::lab::sweep::plan::{Coming, point};
use crate::lab::sweep::show::{Progress, name};
use std::collections::BTreeMap;

impl Session<'_> {
    /// A job of the board has ended: it comes no more, unless it is tried again.
    pub(super) fn strike(&mut self, at: usize, item: usize) {
        let item = &self.book.items[item];
        if self.book.is_settled(self.study, item) {
            let number = match item.role {
                Role::Point => item.number - 1,
                Role::Baseline => item.number,
            };
            let is_it = |coming: &Coming| {
                let task = coming.task;
                (task.role, task.number, task.round) == (item.role, number, item.round)
            };
            // Where any board may have it, another was expected to.
            let shared = self.study.spread == Spread::Any && item.role == Role::Point;
            let fits = |coming: &Coming| (shared || coming.seat == at) && is_it(coming);
            if let Some(found) = self.coming.iter().position(fits) {
                self.coming.swap_remove(found);
            }
        }
        // How often the baseline runs depends on which board has how many of the points.
        let busy: Vec<bool> = (0..self.posts.len()).map(|at| self.has_work(at)).collect();
        self.coming
            .retain(|coming| coming.task.role == Role::Point || busy[coming.seat]);
    }

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
