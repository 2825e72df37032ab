//! The collector itself: messages from the broker to the keeper, acknowledgements back, and
//! questions to boards between them.

use super::boards::Boards;
use super::connection::{Arrival, Connection, Refusal, Stuck, Subscription};
use super::keeper::{Order, Thread, Word};
use super::roller::RollOrder;
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
/// A connection that stood this long was a good one.
const STOOD: Span = Span::from_millis(10_000);
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
    /// What an earlier run subscribed to, and this one does not want.
    pub stale: Vec<String>,
}

impl Collector {
    /// What the broker may send into the session from now on.
    pub fn subscribed(&self) -> Vec<String> {
        let wanted = self.setup.subscriptions().into_iter();
        let wanted = wanted.map(|subscription| subscription.filter);
        let stale = self.setup.stale.iter().skip(self.state.taken_back);
        wanted
            .chain(self.state.plain.iter().chain(stale).cloned())
            .collect()
    }
}

impl Setup {
    /// The filters that this collector's session has.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        let Setup {
            prefix,
            devices,
            group,
            answers,
            ..
        } = self;
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
    pub(super) waiting: Vec<Arrival>,
    pub(super) waiting_bytes: usize,
    /// Since when something waits.
    pub(super) waits_since: MonoNs,
    pub(super) keeper_is_busy: bool,
    pub(super) gaps_asked_for: bool,
    /// Open gaps of boards that are online, as of the last look.
    pub(super) reachable_gaps: Option<u64>,
    pub(super) rolls: bool,
    /// Long ago at first: what the last run has left is written at once.
    pub(super) rolled_at: MonoNs,
    pub(super) bytes_since_roll: u64,
    /// Whether the keeper was told something since the gaps were asked for.
    pub(super) unsettled: bool,
    /// When a record of a job came last.
    pub(super) news_at: MonoNs,
    pub(super) plain: VecDeque<String>,
    /// Stale subscriptions that were taken back over this connection.
    pub(super) taken_back: usize,
    /// Whether the broker has answered to the subscriptions of this connection.
    pub(super) subscribed: bool,
    pub(super) in_trouble: bool,
}

impl State {
    pub fn new(now: MonoNs) -> Self {
        Self {
            tally: Tally::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            waits_since: now,
            keeper_is_busy: false,
            gaps_asked_for: false,
            reachable_gaps: None,
            rolls: false,
            rolled_at: MonoNs(0),
            bytes_since_roll: 0,
            unsettled: true,
            news_at: now,
            plain: VecDeque::new(),
            taken_back: 0,
            subscribed: false,
            in_trouble: false,
        }
    }

    pub fn begin_roll(&mut self, rolls: &Sender<RollOrder>, order: RollOrder) {
        // Its thread ends after this, not before.
        self.rolls = rolls.send(order).is_ok();
    }
}

type Stop<'s> = Pin<&'s mut (dyn Future<Output = ()> + 's)>;

pub(super) enum Ended {
    /// Somebody, or the time, says so, or nothing comes any more.
    Stopped,
    Lost(String),
    /// Nothing can be sent.
    Stuck,
    Refused(LabError),
}

impl From<Stuck> for Ended {
    fn from(_: Stuck) -> Self {
        Self::Stuck
    }
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
                    self.state.tally.reconnects += u64::from(number > 0);
                    number += 1;
                    match self.attend(&mut connection, stop.as_mut()).await {
                        Ended::Stopped => return self.finish(Some(connection)).await,
                        Ended::Refused(error) => return Err(error),
                        Ended::Lost(reason) => reason,
                        Ended::Stuck => connection.why_stuck(),
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
        let subscriptions = self.setup.subscriptions();
        if let Err(Stuck) = connection.subscribe(&subscriptions) {
            return Ended::Stuck;
        }
        self.boards.connected(clock::now());
        self.state.subscribed = false;
        self.state.taken_back = 0;
        if connection.is_resumed {
            // They come again over this one, and could not be acknowledged but there.
            let waiting = &mut self.state.waiting;
            waiting.retain(|arrival| !arrival.must_be_acknowledged());
            self.state.waiting_bytes = waiting.iter().map(Arrival::bytes).sum();
        }
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.hand_over(clock::now());
            let turn = tokio::select! {
                heard = connection.next(), if !self.state.is_full() => {
                    let mut next = Some(heard);
                    let mut turn = Ok(());
                    while let Some(heard) = next.take()
                        && turn.is_ok()
                    {
                        turn = self.heard(heard, &subscriptions);
                        next = match self.state.is_full() {
                            true => None,
                            false => connection.ready(),
                        };
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
        match connection {
            Some(connection) => connection.close().await,
            // Nobody knows what the broker has read.
            None => self.state.taken_back = 0,
        }
        let _ = self.rolls.send(RollOrder::Last);
        let mut left = if self.state.rolls { 2 } else { 1 };
        while left > 0 {
            let word = timeout(END_WITHIN, self.words.recv()).await;
            let Ok(Some(word)) = word else { break };
            let rolled = match word {
                Word::Rolled(rolled) => rolled,
                Word::Ended(Thread::Roller) => break,
                _ => continue,
            };
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
