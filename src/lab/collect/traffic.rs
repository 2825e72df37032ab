//! What arrives from the broker, from the threads and with time, and what is done about it.

use super::boards::{ANSWER_WITHIN, Said};
use super::connection::{Arrival, Connection, Heard, Subscription};
use super::keeper::{Order, Thread, Word};
use super::roller::{RollOrder, Rolled};
use super::session::{Collector, Ended, State};
use crate::clock;
use crate::lab::LabError;
use crate::units::{MonoNs, Span};

/// Samples need no acknowledgement: they wait so long for company.
const SAMPLES_WAIT: Span = Span::from_millis(1_000);
const BATCH: usize = 1_024;
/// Samples in memory while the disk takes nothing.
const MOST_WAITING: usize = 20_000;
/// Of payload in memory while the disk is busy.
const MOST_BYTES_WAITING: usize = 16 << 20;
/// Jobs that are subscribed to beside a shared subscription.
const MOST_PLAIN: usize = 32;
/// Subscriptions that are taken back at a time.
const TAKEN_BACK: usize = 64;
/// A roll that failed is tried again after this.
const ROLL_AGAIN: Span = Span::from_millis(10_000);
/// Of questions, at the broker.
const EXPIRY_S: u32 = (ANSWER_WITHIN.0 / 1_000_000_000) as u32;

impl State {
    /// Whether nothing more may be read for now: a broker may send more than may be in flight.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_bytes >= MOST_BYTES_WAITING
    }
}

impl Collector {
    pub(super) fn heard(
        &mut self,
        heard: Heard,
        subscriptions: &[Subscription],
    ) -> Result<(), Ended> {
        match heard {
            Heard::Lost(reason) => Err(Ended::Lost(reason)),
            Heard::Acknowledged => Ok(()),
            Heard::Subscribed(refused) => {
                // Later ones are of single jobs.
                let is_first = !std::mem::replace(&mut self.state.subscribed, true);
                let refused = refused.filter(|_| is_first);
                let Some((place, word)) = refused else {
                    // From now on nothing passes unheard.
                    if is_first {
                        let again = self.state.tally.reconnects > 0;
                        self.show.connected(&self.setup.broker, again);
                    }
                    return Ok(());
                };
                let refused = &subscriptions[place];
                Err(Ended::Refused(LabError::Unreachable(format!(
                    "the broker does not let this user subscribe to {} ({word}); see its access \
                     rules{}",
                    refused.filter,
                    match refused.filter.starts_with('$') {
                        true => ", and whether it knows shared subscriptions",
                        false => "",
                    }
                ))))
            }
            Heard::Message(arrival) => {
                self.arrived(arrival, clock::now());
                Ok(())
            }
        }
    }

    /// All wait for their turn with the keeper, also what it has no use for: MQTT wants
    /// acknowledgements in the order in which messages came.
    fn arrived(&mut self, arrival: Arrival, now: MonoNs) {
        let publish = &arrival.publish;
        if publish.topic == self.setup.answers.as_bytes() {
            let correlation = publish.properties.as_ref();
            let correlation = correlation.and_then(|with| with.correlation_data.as_ref());
            let said = correlation
                .and_then(|correlation| self.boards.answer(correlation, &publish.payload, now));
            self.answered(said);
        } else if let Some(device) = self.of_status(&publish.topic) {
            self.boards.status(&device, &publish.payload, now);
            self.state.tally.boards_online = self.boards.online();
        }
        let state = &mut self.state;
        if !arrival.must_be_acknowledged() && state.waiting.len() >= MOST_WAITING {
            state.tally.samples_left_out += 1;
            return;
        }
        if state.waiting.is_empty() {
            state.waits_since = now;
        }
        state.waiting_bytes += arrival.bytes();
        state.waiting.push(arrival);
    }

    fn answered(&mut self, said: Option<Said>) {
        match said {
            Some(Said::Jobs { device, jobs }) => self.order(Order::Listed { device, jobs }),
            Some(Said::Replay { gap, outcome }) => self.order(Order::Answered { gap, outcome }),
            Some(Said::Refused { device, why }) => self.show.refused(&device, &why, clock::now()),
            None => {}
        }
    }

    fn of_status(&self, topic: &[u8]) -> Option<String> {
        let topic = std::str::from_utf8(topic).ok()?;
        let rest = topic.strip_prefix(&self.setup.prefix)?.strip_prefix('/')?;
        rest.strip_suffix("/status").map(str::to_owned)
    }

    fn order(&mut self, order: Order) {
        self.state.unsettled = !matches!(order, Order::TakeGaps { .. });
        // Where the keeper has ended, its last word says so.
        let _ = self.orders.send(order);
    }

    /// Gives the keeper what waits, if it is idle and there is reason to.
    pub(super) fn hand_over(&mut self, now: MonoNs) {
        let state = &mut self.state;
        if state.keeper_is_busy || state.waiting.is_empty() {
            return;
        }
        let due = state.waiting.len() >= BATCH
            || now.since(state.waits_since) >= SAMPLES_WAIT
            || state.waiting.iter().any(Arrival::must_be_acknowledged);
        if due {
            state.keeper_is_busy = true;
            let batch = std::mem::take(&mut state.waiting);
            state.waiting_bytes = 0;
            self.order(Order::Keep(batch));
        }
    }

    /// What the threads say; acknowledgements go to `connection`.
    pub(super) fn told(
        &mut self,
        connection: Option<&mut Connection>,
        word: Word,
    ) -> Result<(), Ended> {
        let now = clock::now();
        let state = &mut self.state;
        match word {
            Word::Kept {
                arrivals,
                kept,
                unreadable,
            } => {
                state.keeper_is_busy = false;
                state.tally.add(&kept);
                state.bytes_since_roll += kept.bytes;
                if kept.of_jobs > 0 {
                    state.news_at = now;
                }
                if let Some(why) = unreadable {
                    self.show.unreadable(&why, kept.unreadable, now);
                }
                if let Some(connection) = connection {
                    connection.acknowledge(arrivals);
                }
            }
            Word::Gaps {
                gaps,
                closed,
                standing,
            } => {
                state.gaps_asked_for = false;
                state.tally.stand(&standing);
                state.reachable_gaps = (!state.unsettled).then_some(standing.reachable);
                for lost in &closed {
                    self.show.lost(lost);
                }
                let Some(connection) = connection else {
                    return Ok(());
                };
                for gap in gaps {
                    self.show.asked(&gap.device, &gap.id, gap.attempt);
                    self.state.tally.replays += 1;
                    self.listen_plainly(connection, &gap.device, &gap.id)?;
                    let question = self.boards.replay(gap, now);
                    connection.ask(&question, EXPIRY_S)?;
                }
            }
            Word::Trouble(what) => {
                state.in_trouble = true;
                self.show.trouble(&what);
            }
            Word::Recovered => {
                state.in_trouble = false;
                self.show.recovered();
            }
            Word::Rolled(rolled) => self.has_rolled(&rolled, now),
            Word::Ended(thread) => {
                // Nothing is waited for any more.
                state.in_trouble = true;
                return Err(Ended::Refused(has_ended(thread)));
            }
        }
        Ok(())
    }

    pub(super) fn has_rolled(&mut self, rolled: &Rolled, now: MonoNs) {
        let state = &mut self.state;
        state.rolls = false;
        state.rolled_at = now;
        state.bytes_since_roll = 0;
        state.tally.roll(rolled);
        self.show.rolled(rolled);
        if let Some((count, why)) = &rolled.held {
            self.show.held(why, *count);
        }
        if let Some(why) = &rolled.failed {
            self.show.trouble(why);
            // Sooner than the next.
            let again = self.setup.roll_every.0.saturating_sub(ROLL_AGAIN.0);
            state.rolled_at = MonoNs(now.0.saturating_sub(again));
        }
    }

    /// Beside a shared subscription a plain one for this job: what the board sends again must
    /// not go into the session of a member that is away.
    fn listen_plainly(
        &mut self,
        connection: &Connection,
        device: &str,
        id: &str,
    ) -> Result<(), Ended> {
        if self.setup.group.is_none() {
            return Ok(());
        }
        let filter = format!("{}/{device}/jobs/{id}/+", self.setup.prefix);
        let plain = &mut self.state.plain;
        plain.retain(|known| *known != filter);
        plain.push_back(filter.clone());
        let forgotten = match plain.len() > MOST_PLAIN {
            true => plain.pop_front(),
            false => None,
        };
        if let Some(forgotten) = forgotten {
            connection.unsubscribe(&forgotten)?;
        }
        let subscription = Subscription {
            filter,
            waits: true,
            retained_each_time: true,
        };
        let filter = &subscription.filter;
        if let Some(at) = self.setup.stale.iter().position(|stale| stale == filter) {
            self.setup.stale.remove(at);
            self.state.taken_back -= usize::from(at < self.state.taken_back);
        }
        self.order(Order::Subscribes(vec![filter.clone()]));
        Ok(connection.subscribe(&[subscription])?)
    }

    /// What time brings.
    pub(super) fn look_after(&mut self, connection: &mut Connection) -> Result<(), Ended> {
        let now = clock::now();
        let stale = self.setup.stale.iter().skip(self.state.taken_back);
        for filter in stale.take(TAKEN_BACK) {
            connection.unsubscribe(filter)?;
            self.state.taken_back += 1;
        }
        for question in self.boards.questions(now) {
            connection.ask(&question, EXPIRY_S)?;
        }
        if !self.state.gaps_asked_for {
            self.state.gaps_asked_for = true;
            let (askable, most) = self.boards.reachable(now);
            let online = self.boards.names();
            let have_run = self.boards.have_run();
            self.order(Order::TakeGaps {
                askable,
                most,
                online,
                have_run,
            });
        }
        let state = &mut self.state;
        let is_due = now.since(state.rolled_at) >= self.setup.roll_every
            || state.bytes_since_roll >= self.setup.roll_bytes;
        if is_due && !state.rolls {
            state.rolls = true;
            // Where the roller has ended, its last word says so.
            let _ = self.rolls.send(RollOrder::Now);
        }
        self.show.progress(&self.state.tally, now);
        match self.is_idle(now) {
            true => Err(Ended::Stopped),
            false => Ok(()),
        }
    }

    fn is_idle(&self, now: MonoNs) -> bool {
        let state = &self.state;
        self.setup.until_idle.is_some_and(|span| {
            now.since(state.news_at) >= span
                && !state.keeper_is_busy
                && !state.waiting.iter().any(Arrival::must_be_acknowledged)
                && state.reachable_gaps == Some(0)
                && self.boards.at_rest(now)
        })
    }
}

/// Nothing is committed, or nothing written, without it.
fn has_ended(thread: Thread) -> LabError {
    let what = match thread {
        Thread::Keeper => "keeps what arrives",
        Thread::Roller => "writes the dataset",
    };
    LabError::Failed(format!(
        "the thread that {what} has ended, which is a fault of joulectl. What was collected is \
         kept; start it again"
    ))
}
