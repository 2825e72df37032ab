//! A job on its way: sending it, and asking what became of it.

use super::post::Sent;
use super::refusals::{About, about, not_signed_for};
use super::{AGAIN, Session, job};
use crate::clock;
use crate::lab::LabError;
use crate::lab::sign::sign;
use crate::lab::submit::Accepted;
use crate::lab::sweep::book::Standing;
use crate::record::answer::{Listing, Refusal};
use crate::workload::JobState;
use serde_json::json;

impl Session<'_> {
    /// Sends a job, or asks what became of it, which is the same.
    pub(super) async fn offer(&mut self, at: usize, item: usize) -> Result<(), LabError> {
        let board = self.posts[at].board.clone();
        let mut job = job(self.study, &self.book.items[item]);
        sign(&mut job, &board, self.signing)?;
        let answered = self
            .client
            .request::<Accepted>(&board, "submit", &job)
            .await;
        let refusal = match answered {
            Ok(Ok(accepted)) => {
                let key = (board.name().to_owned(), accepted.id);
                let reason = self.heard.get(&key).and_then(|state| state.reason.clone());
                return self.taken(at, item, accepted.state, reason);
            }
            Ok(Err(refusal)) => refusal,
            Err(LabError::Unreachable(why)) => return self.unanswered(at, item, why),
            Err(error) => return Err(error),
        };
        match about(&refusal) {
            About::Moment => {
                self.posts[at].not_before = clock::now() + AGAIN;
                let text = format!(
                    "board {} takes no job now ({}): {}; it is asked again",
                    board.name(),
                    refusal.code,
                    refusal.message
                );
                self.tell_once(at, text);
                Ok(())
            }
            About::Signature => Err(not_signed_for(&board, &refusal)),
            About::Job => self.refused(at, item, &refusal).await,
        }
    }

    /// The board has the job.
    fn taken(
        &mut self,
        at: usize,
        item: usize,
        state: JobState,
        reason: Option<String>,
    ) -> Result<(), LabError> {
        if state.is_final() {
            return self.end(at, item, state, reason);
        }
        let now = clock::now();
        let post = &mut self.posts[at];
        post.told = None;
        match post.sent.iter_mut().find(|sent| sent.item == item) {
            Some(sent) => sent.asked = now,
            None => {
                let is_new = !self.of_unknown_age.contains(&item);
                post.sent.push(Sent {
                    item,
                    since: is_new.then_some(now),
                    asked: now,
                });
                self.show.sent(&self.book.items[item]);
            }
        }
        Ok(())
    }

    fn unanswered(&mut self, at: usize, item: usize, why: String) -> Result<(), LabError> {
        self.of_unknown_age.insert(item);
        self.posts[at].not_before = clock::now() + AGAIN;
        self.tell_once(at, why);
        Ok(())
    }

    /// The board does not take the job as it stands. One that it may have all the same, from
    /// before a limit or a version changed there, it is asked for by its id.
    async fn refused(&mut self, at: usize, item: usize, refusal: &Refusal) -> Result<(), LabError> {
        let was_sent = self.posts[at].sent.iter().any(|sent| sent.item == item);
        let may_have_it = was_sent || self.of_unknown_age.contains(&item);
        // One of the same id and other content is not this job.
        if may_have_it && refusal.code != "conflict" {
            let board = self.posts[at].board.clone();
            let id = json!({"id": self.book.items[item].id});
            match self.client.request::<Listing>(&board, "jobs", &id).await {
                Ok(Ok(listing)) => {
                    if let Some(job) = listing.jobs.into_iter().next() {
                        return self.taken(at, item, job.state, job.reason);
                    }
                }
                // It never had it.
                Ok(Err(_)) => {}
                Err(LabError::Unreachable(why)) => return self.unanswered(at, item, why),
                Err(error) => return Err(error),
            }
        }
        let reason = format!("{}: {}", refusal.code, refusal.message);
        self.settle(at, item, Standing::Refused, Some(reason), None)
    }
}
