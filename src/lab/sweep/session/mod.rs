//! A study at work: each board gets its next job when it is free and cool, and every change is
//! in the book, on the disk, before anything follows from it.
//!
//! A job is in the book before it is sent. Whoever finds it there, open, sends it again: a board
//! that knows the id answers with what became of it and runs nothing twice. So it does not
//! matter when this ends.

mod hearing;
mod offer;
mod outlook;
mod post;
mod refusals;

use super::book::{Book, Item, Role, Standing};
use super::cooling::Cooling;
use super::folder::Folder;
use super::manifest::OWN_TAGS;
use super::plan::Coming;
use super::show::Show;
use super::study::Study;
use super::text::lasting;
use crate::clock;
use crate::lab::LabError;
use crate::lab::client::Client;
use crate::lab::collect::Told;
use crate::lab::sign::Signing;
use crate::record::job::State;
use crate::units::{MonoNs, Span};
use crate::workload::JobState;
pub use post::Post;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc::UnboundedReceiver;

/// A board that did not answer, or had no room, is asked again after this.
const AGAIN: Span = Span::from_millis(10_000);
/// A job of which nothing is heard is asked for when its board says that nothing runs there;
/// its `status` may be this late.
const UNHEARD: Span = Span::from_millis(5_000);
/// And in any case after this: a question disturbs what is measured.
const UNHEARD_AT_ALL: Span = Span::from_millis(900_000);

/// How a study's work ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Done,
    /// Only boards that are away have something left to do.
    Away(Vec<String>),
}

pub struct Session<'s> {
    pub study: &'s Study,
    pub folder: &'s Folder,
    pub book: &'s mut Book,
    pub client: &'s mut Client,
    pub signing: &'s Signing,
    pub prefix: &'s str,
    pub posts: Vec<Post>,
    pub show: &'s Show,
    /// What is still to come, for the estimate.
    pub coming: Vec<Coming>,
    /// How long boards that are away are waited for when nothing else is left.
    pub away: Span,
    /// What the collector says.
    pub told: &'s mut UnboundedReceiver<Told>,
    /// The last word on jobs of the study.
    pub heard: BTreeMap<(String, String), State>,
    /// Jobs that a board may have had since nobody knows when: those of earlier runs, and those to
    /// which no answer came.
    pub of_unknown_age: BTreeSet<usize>,
}

impl Session<'_> {
    /// Runs until nothing is left to do.
    pub async fn run(mut self) -> Result<End, LabError> {
        for post in &self.posts {
            let base = format!("{}/{}", self.prefix, post.board.name());
            for topic in ["status", "health", "jobs/+/state"] {
                self.client.subscribe(&format!("{base}/{topic}")).await?;
            }
        }
        let mut stuck: Option<MonoNs> = None;
        loop {
            self.listen().await?;
            for at in 0..self.posts.len() {
                self.attend(at).await?;
            }
            let (away, busy): (Vec<usize>, Vec<usize>) = (0..self.posts.len())
                .filter(|at| self.has_work(*at))
                .partition(|at| self.posts[*at].away().is_some());
            if away.is_empty() && busy.is_empty() {
                return Ok(End::Done);
            }
            self.tell_of_away(&away);
            let now = clock::now();
            stuck = busy.is_empty().then(|| stuck.unwrap_or(now));
            if stuck.is_some_and(|since| now.since(since) >= self.away) {
                let names = away
                    .iter()
                    .map(|at| self.posts[*at].board.name().to_owned());
                return Ok(End::Away(names.collect()));
            }
            self.show.progress(&self.progress());
        }
    }

    /// Gives the board what it is to do next, if it can have it now.
    async fn attend(&mut self, at: usize) -> Result<(), LabError> {
        let now = clock::now();
        let post = &mut self.posts[at];
        if post.away().is_some() {
            // How warm it was before says nothing about when it comes back.
            post.cooling = None;
            return Ok(());
        }
        if now < post.not_before {
            return Ok(());
        }
        let post = &self.posts[at];
        if let Some(item) = self.unheard(at, now) {
            return self.offer(at, item).await;
        }
        let has_room = match self.study.cooldown {
            // It has to be idle to cool down.
            Some(_) => post.sent.is_empty(),
            None => post.sent.len() < 2,
        };
        if !has_room {
            return Ok(());
        }
        let Some(task) = self.book.next(self.study, &post.seat) else {
            return Ok(());
        };
        let cooled = match self.study.cooldown {
            None => None,
            Some(rule) => {
                let post = &mut self.posts[at];
                let after_a_job = post.last_end.is_some();
                let cooling = post
                    .cooling
                    .get_or_insert_with(|| Cooling::begin(rule, now, after_a_job));
                let blind = cooling.is_blind(now);
                let Some(cooled) = cooling.over(now) else {
                    return Ok(());
                };
                post.cooling = None;
                if blind && !post.told_that_blind {
                    post.told_that_blind = true;
                    let text = format!(
                        "board {} publishes no temperature: it settles for {} after each job",
                        post.board.name(),
                        lasting(rule.settle_s)
                    );
                    self.show.note("no-temperature", &text);
                }
                Some(cooled)
            }
        };
        let device = self.posts[at].seat.device.clone();
        let item = self.book.begin(self.study, &device, task, cooled);
        self.folder.save(self.book)?;
        self.offer(at, item).await
    }

    /// An open job of the board that it should be asked for.
    fn unheard(&self, at: usize, now: MonoNs) -> Option<usize> {
        let post = &self.posts[at];
        let mine = self
            .book
            .open()
            .filter(|(_, item)| item.device == post.seat.device);
        let mut unheard = mine.filter(|(item, _)| {
            let sent = post.sent.iter().find(|sent| sent.item == *item);
            sent.is_none_or(|sent| {
                let since = now.since(sent.asked);
                since >= UNHEARD_AT_ALL || since >= UNHEARD && post.is_idle()
            })
        });
        unheard.next().map(|(item, _)| item)
    }

    /// A job has ended.
    fn end(
        &mut self,
        at: usize,
        item: usize,
        state: JobState,
        reason: Option<String>,
    ) -> Result<(), LabError> {
        let standing = match state {
            JobState::Succeeded => Standing::Succeeded,
            JobState::Cancelled => Standing::Cancelled,
            JobState::Failed | JobState::Queued | JobState::Running => Standing::Failed,
        };
        let now = clock::now();
        let post = &mut self.posts[at];
        let sent = post.sent.iter().find(|sent| sent.item == item);
        let since = sent.and_then(|sent| sent.since);
        // One that waited behind another began when that ended.
        let began = since.map(|since| since.max(post.last_end.unwrap_or(since)));
        let took_s = began.map(|began| now.since(began).as_secs_f64());
        post.last_end = Some(now);
        self.settle(at, item, standing, reason, took_s)
    }

    fn settle(
        &mut self,
        at: usize,
        item: usize,
        standing: Standing,
        reason: Option<String>,
        took_s: Option<f64>,
    ) -> Result<(), LabError> {
        self.posts[at].sent.retain(|sent| sent.item != item);
        let entry = &mut self.book.items[item];
        entry.state = standing;
        entry.reason = reason;
        entry.took_s = took_s;
        self.folder.save(self.book)?;
        self.strike(at, item);
        self.show.ended(&self.book.items[item], &self.progress());
        Ok(())
    }

    fn has_work(&self, at: usize) -> bool {
        let seat = &self.posts[at].seat;
        let mut open = self.book.open();
        open.any(|(_, item)| item.device == seat.device)
            || self.book.next(self.study, seat).is_some()
    }

    fn tell_of_away(&mut self, away: &[usize]) {
        for at in away {
            let post = &self.posts[*at];
            if let Some(why) = post.away() {
                let text = format!("board {} is waited for: {why}", post.board.name());
                self.tell_once(*at, text);
            }
        }
    }

    fn tell_once(&mut self, at: usize, text: String) {
        if self.posts[at].told.as_ref() != Some(&text) {
            self.show.note("waiting", &text);
            self.posts[at].told = Some(text);
        }
    }
}

/// The job of an item, with its id and the study's tags.
pub fn job(study: &Study, item: &Item) -> Value {
    let of = match item.role {
        Role::Point => study.points.get(item.number - 1),
        Role::Baseline => study.baseline.as_ref(),
    };
    let of = of.expect("the book was checked against the study");
    let mut job = of.job.clone();
    job.insert("id".to_owned(), json!(item.id));
    let tags = job.entry("tags").or_insert_with(|| json!({}));
    if let Value::Object(tags) = tags {
        let round = item.round.to_string();
        let own = [
            &study.name,
            &study.hash,
            &item.point,
            item.role.as_str(),
            &round,
        ];
        for (tag, value) in OWN_TAGS.into_iter().zip(own) {
            tags.insert(tag.to_owned(), json!(value));
        }
    }
    Value::Object(job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sweep::testing::{seat, study};

    #[test]
    fn a_job_says_which_study_and_point_it_is_of() {
        let study = study(2);
        let mut book = Book::new(&study);
        let task = book.next(&study, &seat(&study, "a")).unwrap();
        let at = book.begin(&study, "a", task, None);
        let job = job(&study, &book.items[at]);
        assert_eq!(job["id"], book.items[at].id);
        assert_eq!(
            job["tags"],
            json!({"study": "test", "study_hash": study.hash, "point": "m threads 1",
                   "role": "point", "round": "1"})
        );
    }
}
