//! Which record of the outbox leaves next. It reads ahead in the store in bounded pieces, so
//! that a backlog of any length leaves in constant memory, and remembers what is under way.
//!
//! A cursor goes once through the records in their order. Behind it nothing is left but what
//! is out (read, under way, or acknowledged and not marked yet) and topics that wait
//! ([`Waits`]); those leave by themselves when they are due: first one record, and once it was
//! taken the rest of the topic up to the cursor.

use super::waits::Waits;
use crate::store::{Pending, Piece, RecordKind, Renewed, Store, StoreError, Topic};
use crate::units::{MonoNs, Span};
use crate::workload::JobId;
use std::collections::{HashSet, VecDeque};

/// What is read ahead at most, of each of the two ways.
const AHEAD: Piece = Piece {
    records: 512,
    bytes: 512 << 10,
    rows: 8_192,
};
const ONE: Piece = Piece {
    records: 1,
    bytes: 1,
    rows: usize::MAX,
};
/// Records are marked in one commit for so many, or when the first has waited so long.
const MARKED_TOGETHER: usize = 512;
const MARKED_WITHIN: Span = Span::from_millis(200);
/// While marks fail, for instance on a full disk, no more than this leaves.
const MOST_UNMARKED: usize = 8_192;
const MARKED_AGAIN: Span = Span::from_millis(5_000);
/// What could not be read is tried again after this, if nothing happens before.
const READ_AGAIN: Span = Span::from_millis(5_000);

/// A topic that leaves by itself.
#[derive(Debug)]
struct Lane {
    topic: Topic,
    after: i64,
}

#[derive(Debug, Default)]
pub(super) struct Departures {
    cursor: i64,
    /// Whether there may be records behind the cursor.
    more: bool,
    /// After a look at the store that failed.
    read_again_at: Option<MonoNs>,
    ahead: VecDeque<Pending>,
    lanes: VecDeque<Lane>,
    /// Records of topics that wait or resume.
    again: VecDeque<Pending>,
    waits: Waits,
    /// Kinds of which topics were passed over without being remembered.
    left_out: HashSet<RecordKind>,
    /// Records that were read and are not settled in the store.
    out: HashSet<i64>,
    delivered: Vec<i64>,
    parked: Vec<(i64, String)>,
    /// When what is delivered or parked is written down.
    mark_at: Option<MonoNs>,
}

/// One go through what is read ahead.
#[derive(Debug, Default)]
pub(super) struct Pass {
    at: usize,
    /// Jobs whose next record has to wait for a verdict. They wait as a whole, so that a job's
    /// last state goes before its result.
    jobs: HashSet<JobId>,
}

impl Departures {
    /// The store has new records.
    pub fn look(&mut self) {
        self.more = true;
    }

    /// Reads what may leave at `now`.
    pub fn fill(&mut self, store: &mut Store, now: MonoNs) -> Result<(), StoreError> {
        if let Some(renewed) = store.take_renewed() {
            self.rewind(&renewed, now);
        }
        if self.unmarked() >= MOST_UNMARKED {
            return Ok(());
        }
        self.more |= self.read_again_at.take().is_some();
        let read = self.read(store, now);
        if read.is_err() {
            self.more = false;
            self.read_again_at = Some(now + READ_AGAIN);
        }
        read
    }

    fn read(&mut self, store: &Store, now: MonoNs) -> Result<(), StoreError> {
        self.waits.listen(now);
        let heard = |kind: &RecordKind| !self.waits.is_unheard(*kind);
        let room = self.waits.is_half_empty();
        if self.left_out.iter().any(|kind| room || heard(kind)) {
            self.left_out.clear();
            self.go_back_to(0);
        }
        self.fill_again(store, now)?;
        self.fill_ahead(store, now)
    }

    fn fill_again(&mut self, store: &Store, now: MonoNs) -> Result<(), StoreError> {
        let out = &mut self.out;
        while self.again.len() < AHEAD.records
            && let Some(topic) = self.waits.next_due(now)
        {
            let found = store.pending_of(&topic, 0, self.cursor, ONE, |seq| !out.contains(&seq));
            let found = found.inspect_err(|_| self.waits.not_now(&topic, now))?;
            if found.records.is_empty() {
                self.waits.forget(&topic);
            }
            out.extend(found.records.iter().map(|record| record.seq));
            self.again.extend(found.records);
        }
        while self.again.len() < AHEAD.records / 2
            && let Some(lane) = self.lanes.front_mut()
        {
            let found = store.pending_of(&lane.topic, lane.after, self.cursor, AHEAD, |seq| {
                !out.contains(&seq)
            })?;
            lane.after = found.upto;
            out.extend(found.records.iter().map(|record| record.seq));
            self.again.extend(found.records);
            if found.more {
                break;
            }
            self.waits.forget(&lane.topic);
            self.lanes.pop_front();
        }
        Ok(())
    }

    fn fill_ahead(&mut self, store: &Store, now: MonoNs) -> Result<(), StoreError> {
        if !self.more || self.ahead.len() > AHEAD.records / 2 {
            return Ok(());
        }
        let piece = Piece {
            records: AHEAD.records - self.ahead.len(),
            ..AHEAD
        };
        let Self {
            waits,
            left_out,
            out,
            ..
        } = self;
        let found = store.pending_after(self.cursor, piece, |seq, topic| {
            if out.contains(&seq) || waits.holds(topic) {
                return false;
            }
            if !waits.is_unheard(topic.kind) {
                return true;
            }
            leave_waiting(waits, left_out, topic, now);
            false
        })?;
        self.cursor = found.upto;
        self.more = found.more;
        self.out
            .extend(found.records.iter().map(|record| record.seq));
        self.ahead.extend(found.records);
        self.set_aside(found.unreadable, now);
        Ok(())
    }

    /// One that can't be read must not hold back those behind it.
    fn set_aside(&mut self, unreadable: Vec<i64>, now: MonoNs) {
        for seq in unreadable {
            if self.out.insert(seq) {
                tracing::error!(seq, "a record of the outbox can't be read; it is parked");
                self.parked.push((seq, "unreadable".to_owned()));
                self.mark_soon(now);
            }
        }
    }

    /// The next record, unless a message of its retained topic `flies` already.
    pub fn next(&mut self, pass: &mut Pass, flies: impl Fn(&Topic) -> bool) -> Option<Pending> {
        let blocked = |topic: &Topic| topic.kind.retained() && flies(topic);
        if self
            .again
            .front()
            .is_some_and(|first| !blocked(&first.topic))
        {
            return self.again.pop_front();
        }
        while let Some(record) = self.ahead.get(pass.at) {
            if pass.jobs.contains(&record.topic.job) {
                pass.at += 1;
            } else if blocked(&record.topic) {
                pass.jobs.insert(record.topic.job.clone());
                pass.at += 1;
            } else {
                return self.ahead.remove(pass.at);
            }
        }
        None
    }

    /// A record was taken by the broker.
    pub fn delivered(&mut self, seq: i64, topic: &Topic, now: MonoNs) {
        if self.waits.delivered(topic, now) {
            self.resume(topic);
        }
        self.settled(seq, now);
    }

    /// A record needs not leave any more.
    pub fn superseded(&mut self, seq: i64, topic: &Topic, now: MonoNs) {
        // What follows it may still have to.
        if self.waits.resume(topic) {
            self.resume(topic);
        }
        self.settled(seq, now);
    }

    fn settled(&mut self, seq: i64, now: MonoNs) {
        self.delivered.push(seq);
        self.mark_soon(now);
    }

    /// No broker will take this record as it is.
    pub fn parked(&mut self, seq: i64, topic: &Topic, reason: String, now: MonoNs) {
        // The topic's next record may be taken.
        if self.waits.resume(topic) {
            self.resume(topic);
        }
        self.parked.push((seq, reason));
        self.mark_soon(now);
    }

    fn resume(&mut self, topic: &Topic) {
        self.lanes.push_back(Lane {
            topic: topic.clone(),
            after: 0,
        });
    }

    /// Nobody listens to this record's topic.
    pub fn nobody_listens(&mut self, seq: i64, topic: &Topic, now: MonoNs) {
        self.waits.nobody_listens(topic, now);
        self.withdraw(seq, topic);
        // Of the kind's other topics none is sent before it is tried.
        let Self {
            waits,
            left_out,
            out,
            ahead,
            ..
        } = self;
        ahead.retain(|record| {
            let stays = record.topic.kind != topic.kind;
            if !stays {
                out.remove(&record.seq);
                leave_waiting(waits, left_out, &record.topic, now);
            }
            stays
        });
    }

    /// The broker does not take this record now.
    pub fn not_now(&mut self, seq: i64, topic: &Topic, now: MonoNs) {
        self.waits.not_now(topic, now);
        self.withdraw(seq, topic);
    }

    /// What was read of the topic leaves when the topic is due.
    fn withdraw(&mut self, seq: i64, topic: &Topic) {
        self.out.remove(&seq);
        self.lanes.retain(|lane| lane.topic != *topic);
        let out = &mut self.out;
        for read in [&mut self.again, &mut self.ahead] {
            read.retain(|record| {
                let stays = record.topic != *topic;
                if !stays {
                    out.remove(&record.seq);
                }
                stays
            });
        }
    }

    fn rewind(&mut self, renewed: &Renewed, now: MonoNs) {
        self.go_back_to(renewed.from_seq - 1);
        for job in &renewed.jobs {
            self.waits.retry(job, now);
        }
        for lane in &mut self.lanes {
            if renewed.jobs.contains(&lane.topic.job) {
                lane.after = 0;
            }
        }
    }

    fn go_back_to(&mut self, cursor: i64) {
        for record in self.ahead.drain(..) {
            self.out.remove(&record.seq);
            // It is read again, in its place.
            self.cursor = self.cursor.min(record.seq - 1);
        }
        self.cursor = self.cursor.min(cursor);
        self.more = true;
    }

    fn unmarked(&self) -> usize {
        self.delivered.len() + self.parked.len()
    }

    fn mark_soon(&mut self, now: MonoNs) {
        self.mark_at.get_or_insert(now + MARKED_WITHIN);
    }

    /// Whether the store should know now what became of records.
    pub fn marks_are_due(&self, now: MonoNs) -> bool {
        let Some(mark_at) = self.mark_at else {
            return false;
        };
        let failed = mark_at > now + MARKED_WITHIN;
        let idle = !self.more && self.out.len() == self.unmarked();
        mark_at <= now || !failed && (idle || self.unmarked() >= MARKED_TOGETHER)
    }

    /// Writes down what became of records. Says whether there was anything to write.
    pub fn mark(&mut self, store: &mut Store, now: MonoNs) -> Result<bool, StoreError> {
        if self.unmarked() == 0 {
            return Ok(false);
        }
        self.mark_at = Some(now + MARKED_AGAIN);
        store.mark_published(&self.delivered)?;
        for seq in self.delivered.drain(..) {
            self.out.remove(&seq);
        }
        store.park(&self.parked)?;
        for (seq, _) in self.parked.drain(..) {
            self.out.remove(&seq);
        }
        self.mark_at = None;
        Ok(true)
    }

    /// When what became of records is to be written down.
    pub fn marks_at(&self) -> Option<MonoNs> {
        self.mark_at
    }

    /// When to [`fill`](Self::fill) again although nothing happens, after one at `now`. It
    /// names no time at which that could do nothing: the caller would come back for ever.
    pub fn fills_at(&self, now: MonoNs) -> Option<MonoNs> {
        if self.unmarked() >= MOST_UNMARKED {
            return None;
        }
        if self.read_again_at.is_some() {
            return self.read_again_at;
        }
        if self.more && self.ahead.is_empty() {
            return Some(now);
        }
        let room = self.again.len() < AHEAD.records;
        self.waits.wakes_at().filter(|_| room)
    }
}

/// Passes over a topic of a kind that nobody listens to.
fn leave_waiting(
    waits: &mut Waits,
    left_out: &mut HashSet<RecordKind>,
    topic: &Topic,
    now: MonoNs,
) {
    if waits.holds(topic) {
        return;
    }
    if waits.is_full() {
        left_out.insert(topic.kind);
    } else {
        waits.pass_over(topic, now);
    }
}

#[cfg(test)]
mod tests;
