//! The collector itself: messages from the broker to the keeper, acknowledgements back, and
//! questions to boards between them.

use super::boards::{ANSWER_WITHIN, Boards, Said};
use super::connection::{Arrival, Connection, Heard, Refusal, Stuck, Subscription};
use super::keeper::{Order, Word};
use super::roller::{RollOrder, Rolled};
use super::show::Show;
use super::tally::Tally;
use crate::clock;
use crate::lab::LabError;
use crate::lab::target::Address;
use crate::mqtt::backoff::{Reconnect, chance};
use crate::units::{MonoNs, Span};
use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

/// How often gaps, rolls and the time to end are looked after.
const TICK: Duration = Duration::from_millis(200);
/// Samples need no acknowledgement: they wait so long for company.
const SAMPLES_WAIT: Span = Span::from_millis(1_000);
const BATCH: usize = 1_024;
/// Samples in memory while the disk takes nothing.
const MOST_WAITING: usize = 20_000;
/// A connection that stood this long was a good one.
const STOOD: Span = Span::from_millis(10_000);
/// Jobs that are subscribed to beside a shared subscription.
const MOST_PLAIN: usize = 32;
/// A roll that failed is tried again after this.
const ROLL_AGAIN: Span = Span::from_millis(10_000);
/// The last commit and the last roll may take this long.
const END_WITHIN: Duration = Duration::from_secs(120);

/// What stays the same while it runs.
pub struct Setup {
    pub address: Address,
    pub broker: String,
    pub client_id: String,
    pub answers: String,
    pub prefix: String,
    pub devices: Vec<String>,
    pub group: Option<String>,
    pub expiry: Duration,
    pub roll_every: Span,
    pub roll_bytes: u64,
    pub until_idle: Option<Span>,
}

pub struct Collector {
    pub setup: Setup,
    pub boards: Boards,
    pub orders: Sender<Order>,
    pub rolls: Sender<RollOrder>,
    pub words: UnboundedReceiver<Word>,
    pub show: Show,
    pub state: State,
}

/// What changes.
pub struct State {
    pub tally: Tally,
    waiting: Vec<Arrival>,
    /// Since when something waits.
    waits_since: MonoNs,
    keeper_is_busy: bool,
    gaps_asked_for: bool,
    /// Open gaps of boards that are online, as of the last look.
    reachable_gaps: Option<u64>,
    rolls: bool,
    rolled_at: MonoNs,
    bytes_since_roll: u64,
    /// Whether the keeper was told something since the gaps were asked for.
    unsettled: bool,
    /// When a record of a job came last.
    news_at: MonoNs,
    plain: VecDeque<String>,
    /// Whether the broker has answered to the subscriptions of this connection.
    subscribed: bool,
    in_trouble: bool,
}

impl State {
    pub fn new(now: MonoNs) -> Self {
        Self {
            tally: Tally::default(),
            waiting: Vec::new(),
            waits_since: now,
            keeper_is_busy: false,
            gaps_asked_for: false,
            reachable_gaps: None,
            rolls: false,
            rolled_at: now,
            bytes_since_roll: 0,
            unsettled: true,
            news_at: now,
            plain: VecDeque::new(),
            subscribed: false,
            in_trouble: false,
        }
    }
}

type Stop<'s> = Pin<&'s mut (dyn Future<Output = ()> + 's)>;

enum Ended {
    /// Somebody, or the time, says so, or nothing comes any more.
    Stopped,
    Lost(String),
    Refused(LabError),
}

impl Collector {
    /// Collects until `stop`, or until it is idle for as long as wished.
    pub async fn run(&mut self, mut stop: Stop<'_>) -> Result<(), LabError> {
        let mut reconnect = Reconnect::default();
        let mut told = HashSet::new();
        let mut number = 0;
        loop {
            let wait = Duration::from_nanos(reconnect.wait(chance()).0);
            let opened = tokio::select! {
                () = stop.as_mut() => return self.finish(None).await,
                opened = async {
                    sleep(wait).await;
                    let Setup { address, client_id, expiry, .. } = &self.setup;
                    Connection::open(number, address, client_id, *expiry).await
                } => opened,
            };
            let began = clock::now();
            let reason = match opened {
                Ok(mut connection) => {
                    self.show.connected(&self.setup.broker, number > 0);
                    self.state.tally.reconnects += u64::from(number > 0);
                    number += 1;
                    match self.attend(&mut connection, stop.as_mut()).await {
                        Ended::Stopped => return self.finish(Some(connection)).await,
                        Ended::Refused(error) => return Err(error),
                        Ended::Lost(reason) => reason,
                    }
                }
                // Before the first connection nothing is known to be right.
                Err(refusal) if number == 0 => {
                    return Err(LabError::Unreachable(refusal.text().to_owned()));
                }
                Err(Refusal::Settled(reason) | Refusal::Passing(reason)) => reason,
            };
            if clock::now().since(began) >= STOOD {
                reconnect.stood();
                told.clear();
            }
            if told.insert(reason.clone()) {
                self.show.disconnected(&reason);
            }
        }
    }

    /// Over one connection.
    async fn attend(&mut self, connection: &mut Connection, mut stop: Stop<'_>) -> Ended {
        let subscriptions = self.subscriptions();
        if let Err(Stuck) = connection.subscribe(&subscriptions) {
            return Ended::Lost("the subscription could not be sent".to_owned());
        }
        self.boards.connected(clock::now());
        self.state.subscribed = false;
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.hand_over(clock::now());
            let turn = tokio::select! {
                heard = connection.next() => {
                    let mut next = Some(heard);
                    let mut turn = Ok(());
                    while let Some(heard) = next.take()
                        && turn.is_ok()
                    {
                        turn = self.heard(connection, heard, &subscriptions);
                        next = connection.ready();
                    }
                    turn
                }
                Some(word) = self.words.recv() => self.told(Some(connection), word),
                _ = tick.tick() => self.look_after(connection),
                () = stop.as_mut() => return Ended::Stopped,
            };
            match turn {
                Ok(()) => {}
                Err(ended) => return ended,
            }
        }
    }

    /// The filters that this collector's session has.
    fn subscriptions(&self) -> Vec<Subscription> {
        let Setup {
            prefix,
            devices,
            group,
            answers,
            ..
        } = &self.setup;
        let plain = |filter: String, waits, retained_each_time| Subscription {
            filter,
            waits,
            retained_each_time,
        };
        let every = ["+".to_owned()];
        let devices = match devices.is_empty() {
            true => &every[..],
            false => devices,
        };
        let mut all = vec![plain(answers.clone(), true, false)];
        for device in devices {
            let base = format!("{prefix}/{device}");
            let shared = |rest: &str, waits| {
                let filter = match group {
                    Some(group) => format!("$share/{group}/{base}/{rest}"),
                    None => format!("{base}/{rest}"),
                };
                plain(filter, waits, false)
            };
            all.extend([
                // Who is there, each time anew.
                plain(format!("{base}/status"), true, true),
                // Every collector has to know which jobs have ended.
                plain(format!("{base}/jobs/+/state"), true, false),
                shared("jobs/+/tokens", true),
                shared("jobs/+/trace", true),
                shared("jobs/+/result", true),
                shared("events", true),
                shared("rails/+", false),
                shared("health", false),
            ]);
        }
        all
    }

    fn heard(
        &mut self,
        connection: &mut Connection,
        heard: Heard,
        subscriptions: &[Subscription],
    ) -> Result<(), Ended> {
        let now = clock::now();
        match heard {
            Heard::Lost(reason) => Err(Ended::Lost(reason)),
            Heard::Acknowledged => Ok(()),
            Heard::Subscribed(refused) => {
                // Later ones are of single jobs.
                let is_first = !std::mem::replace(&mut self.state.subscribed, true);
                let refused = refused.filter(|_| is_first);
                let Some((place, word)) = refused else {
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
            Heard::Message(arrival) => self.arrived(connection, arrival, now),
        }
    }

    fn arrived(
        &mut self,
        connection: &mut Connection,
        arrival: Arrival,
        now: MonoNs,
    ) -> Result<(), Ended> {
        let publish = &arrival.publish;
        if publish.topic == self.setup.answers.as_bytes() {
            let correlation = publish.properties.as_ref();
            let correlation = correlation.and_then(|with| with.correlation_data.as_ref());
            let said = correlation
                .and_then(|correlation| self.boards.answer(correlation, &publish.payload, now));
            match said {
                Some(Said::Jobs { device, jobs }) => self.order(Order::Listed { device, jobs }),
                Some(Said::Replay { gap, outcome }) => {
                    self.order(Order::Answered { gap, outcome });
                }
                Some(Said::Refused { device, why }) => {
                    let what = format!("board {device} does not list its jobs: {why}");
                    self.show.unreadable(&what);
                }
                None => {}
            }
            return acknowledge(connection, &arrival);
        }
        if let Some(device) = self.of_status(&publish.topic) {
            self.boards.status(&device, &publish.payload, now);
            self.state.tally.boards_online = self.boards.online();
            return acknowledge(connection, &arrival);
        }
        let state = &mut self.state;
        if !arrival.must_be_acknowledged() && state.waiting.len() >= MOST_WAITING {
            state.tally.samples_left_out += 1;
            return Ok(());
        }
        if state.waiting.is_empty() {
            state.waits_since = now;
        }
        state.waiting.push(arrival);
        Ok(())
    }

    fn of_status(&self, topic: &[u8]) -> Option<String> {
        let topic = std::str::from_utf8(topic).ok()?;
        let rest = topic.strip_prefix(&self.setup.prefix)?.strip_prefix('/')?;
        rest.strip_suffix("/status").map(str::to_owned)
    }

    fn order(&mut self, order: Order) {
        self.state.unsettled = !matches!(order, Order::TakeGaps { .. });
        // The keeper ends after this, not before.
        let _ = self.orders.send(order);
    }

    /// Gives the keeper what waits, if it is idle and there is reason to.
    fn hand_over(&mut self, now: MonoNs) {
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
            self.order(Order::Keep(batch));
        }
    }

    /// What the threads say; acknowledgements go to `connection`.
    fn told(&mut self, connection: Option<&mut Connection>, word: Word) -> Result<(), Ended> {
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
                    self.show.unreadable(&why);
                }
                if let Some(connection) = connection {
                    connection.acknowledge(&arrivals).map_err(stuck)?;
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
                    connection.ask(&question, EXPIRY_S).map_err(stuck)?;
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
        }
        Ok(())
    }

    fn has_rolled(&mut self, rolled: &Rolled, now: MonoNs) {
        let state = &mut self.state;
        state.rolls = false;
        state.rolled_at = now;
        state.bytes_since_roll = 0;
        state.tally.roll(rolled);
        self.show.rolled(rolled);
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
            connection.unsubscribe(&forgotten).map_err(stuck)?;
        }
        let subscription = Subscription {
            filter,
            waits: true,
            retained_each_time: true,
        };
        connection.subscribe(&[subscription]).map_err(stuck)
    }

    /// What time brings.
    fn look_after(&mut self, connection: &mut Connection) -> Result<(), Ended> {
        let now = clock::now();
        for question in self.boards.questions(now) {
            connection.ask(&question, EXPIRY_S).map_err(stuck)?;
        }
        if !self.state.gaps_asked_for {
            self.state.gaps_asked_for = true;
            let (askable, most) = self.boards.reachable(now);
            let online = self.boards.names();
            self.order(Order::TakeGaps {
                askable,
                most,
                online,
            });
        }
        let state = &mut self.state;
        let is_due = now.since(state.rolled_at) >= self.setup.roll_every
            || state.bytes_since_roll >= self.setup.roll_bytes;
        if is_due && !state.rolls {
            state.rolls = true;
            // It ends after this, not before.
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

    /// Keeps and acknowledges what is here, and writes all of it into the dataset.
    async fn finish(&mut self, mut connection: Option<Connection>) -> Result<(), LabError> {
        self.state.waits_since = MonoNs(0);
        let kept = timeout(END_WITHIN, async {
            loop {
                self.hand_over(clock::now());
                if !self.state.keeper_is_busy || self.state.in_trouble {
                    return;
                }
                let Some(word) = self.words.recv().await else {
                    return;
                };
                if self.told(connection.as_mut(), word).is_err() {
                    connection = None;
                }
            }
        });
        // What can't be kept is not acknowledged either, and comes again.
        let _ = kept.await;
        if let Some(connection) = connection {
            connection.close().await;
        }
        let _ = self.rolls.send(RollOrder::Last);
        let mut left = if self.state.rolls { 2 } else { 1 };
        while left > 0 {
            let word = timeout(END_WITHIN, self.words.recv()).await;
            let Ok(Some(word)) = word else { break };
            let Word::Rolled(rolled) = word else { continue };
            left -= 1;
            self.has_rolled(&rolled, clock::now());
            if left == 0 {
                return match rolled.failed {
                    None => Ok(()),
                    Some(why) => Err(LabError::Failed(format!(
                        "{why}; what was collected is kept, and the next run writes it into the \
                         dataset"
                    ))),
                };
            }
        }
        Err(LabError::Failed(
            "the last part was not written in time; what was collected is kept, and the next run \
             writes it into the dataset"
                .to_owned(),
        ))
    }
}

/// Of questions, at the broker.
const EXPIRY_S: u32 = (ANSWER_WITHIN.0 / 1_000_000_000) as u32;

fn stuck(_: Stuck) -> Ended {
    Ended::Lost("the broker does not read what is sent".to_owned())
}

fn acknowledge(connection: &mut Connection, arrival: &Arrival) -> Result<(), Ended> {
    connection.acknowledge([arrival]).map_err(stuck)
}
