//! The terminal: keys, and frames when something has changed, a few a second at most.

use super::super::LabError;
use super::super::client::Message;
use super::super::interrupt::interrupted;
use super::super::target::Board;
use super::app::{Action, App, View};
use super::draw;
use super::link::{Arrival, Link};
use super::requests::{Answered, Asked, Requests};
use crate::clock;
use crate::lab::jobs::Listing;
use crate::units::{MonoNs, Span};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use serde_json::json;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Between two frames that boards cause; a key is answered at once.
const FRAME: Span = Span::from_millis(200);
/// Times and minutes go on.
const TICK: Duration = Duration::from_secs(1);
/// How soon the thread that reads keys sees that it is over.
const KEYS_EVERY: Duration = Duration::from_millis(100);
/// Messages that are taken before the screen has its turn again.
const AT_ONCE: usize = 512;

/// Draws until `q`, Ctrl-C or a signal. The terminal is as before when it returns, also after a
/// panic.
pub async fn run(link: Link, app: App, prefix: &str) -> Result<(), LabError> {
    let failed = |error: io::Error| {
        LabError::Failed(format!(
            "the terminal can't be drawn on ({error}); `joulectl watch --json` needs none"
        ))
    };
    let stop = interrupted();
    let terminal = ratatui::try_init().map_err(failed)?;
    let (sender, keys) = mpsc::channel(64);
    let reader = std::thread::spawn(move || read_keys(&sender));
    let mut screen = Screen {
        link,
        app,
        prefix: prefix.to_owned(),
        requests: Requests::default(),
        listed: None,
        colors: std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
    };
    let outcome = screen.watch(terminal, keys, stop).await;
    // It must not read what is typed for the shell.
    let _ = reader.join();
    let restored = ratatui::try_restore();
    // A terminal that is gone can't be restored either; why it went says more.
    let ended = outcome.map_err(failed)?;
    restored.map_err(failed)?;
    match ended {
        Ended::ByKey => Ok(()),
        Ended::BySignal => Err(LabError::Interrupted("stopped watching".to_owned())),
    }
}

enum Ended {
    ByKey,
    BySignal,
}

/// Until nobody wants them any more, or the terminal is gone.
fn read_keys(sender: &mpsc::Sender<io::Result<Event>>) {
    while !sender.is_closed() {
        let event = match event::poll(KEYS_EVERY) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let failed = event.is_err();
        if sender.blocking_send(event).is_err() || failed {
            return;
        }
    }
}

struct Screen {
    link: Link,
    app: App,
    prefix: String,
    requests: Requests,
    /// The board whose queue was asked for since it is looked at.
    listed: Option<String>,
    colors: bool,
}

impl Screen {
    async fn watch(
        &mut self,
        mut terminal: DefaultTerminal,
        mut keys: mpsc::Receiver<io::Result<Event>>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<Ended> {
        tokio::pin!(stop);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = clock::now();
        let mut changed = true;
        loop {
            let now = clock::now();
            if changed && now >= next {
                self.link.want(self.app.fleet.wanted());
                let (app, colors) = (&mut self.app, self.colors);
                terminal.draw(|frame| draw::draw(frame, app, now, colors))?;
                next = now + FRAME;
                changed = false;
            }
            let pause = Duration::from_nanos(next.since(now).0);
            tokio::select! {
                () = &mut stop => return Ok(Ended::BySignal),
                key = keys.recv() => {
                    match key {
                        Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => {
                            if let Some(action) = self.app.key(key, clock::now())
                                && self.act(action) {
                                return Ok(Ended::ByKey);
                            }
                        }
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return Err(error),
                        // The reader ends after an error, which has come before.
                        None => return Ok(Ended::BySignal),
                    }
                    changed = true;
                    next = clock::now();
                }
                arrival = self.link.arrivals.recv() => {
                    let Some(arrival) = arrival else {
                        return Ok(Ended::BySignal);
                    };
                    changed |= self.arrived(arrival);
                    for _ in 0..AT_ONCE {
                        let Ok(arrival) = self.link.arrivals.try_recv() else {
                            break;
                        };
                        changed |= self.arrived(arrival);
                    }
                }
                _ = ticks.tick() => {
                    self.look(clock::now());
                    changed = true;
                }
                () = tokio::time::sleep(pause), if changed => {}
            }
        }
    }

    /// Whether there is something new to show.
    fn arrived(&mut self, arrival: Arrival) -> bool {
        let now = clock::now();
        match arrival {
            Arrival::Message(message) if message.topic == self.link.answers => {
                self.answered(&message, now);
                true
            }
            Arrival::Message(message) => {
                let Message {
                    topic,
                    payload,
                    retained,
                    ..
                } = message;
                self.app.take(&topic, &payload, retained, now)
            }
            Arrival::Connected => {
                self.app.fleet.connected(now);
                true
            }
            Arrival::Lost(reason) => {
                self.app.fleet.lost(&reason, now);
                true
            }
            Arrival::Refused => {
                self.app.fleet.refused = true;
                true
            }
        }
    }

    fn answered(&mut self, message: &Message, now: MonoNs) {
        let correlation = message.correlation.as_deref().unwrap_or_default();
        match self.requests.answer(correlation, &message.payload) {
            Some(Answered::Failed(text)) => self.app.notify(text, now),
            Some(Answered::Done(Asked::Cancel { device, id }, answer)) => {
                let state = answer["state"].as_str().unwrap_or("cancelled").to_owned();
                self.app.notify(format!("{id} on {device}: {state}"), now);
            }
            Some(Answered::Done(Asked::List { device }, answer)) => {
                let listing: Result<Listing, _> = serde_json::from_value(answer);
                let board = self.app.fleet.boards.get_mut(&device);
                if let (Ok(listing), Some(board)) = (listing, board) {
                    board.listed(listing.jobs, now);
                }
            }
            None => {}
        }
    }

    /// Once a second.
    fn look(&mut self, now: MonoNs) {
        for text in self.requests.overdue(now) {
            self.app.notify(text, now);
        }
        match self.app.view.clone() {
            View::Fleet => self.listed = None,
            View::Board(name) if self.listed.as_ref() == Some(&name) => {}
            View::Board(name) => {
                if let Some(action) = self.app.list(&name) {
                    self.act(action);
                    self.listed = Some(name);
                }
            }
        }
    }

    /// Whether that was all.
    fn act(&mut self, action: Action) -> bool {
        let now = clock::now();
        let (device, verb, body, asked) = match action {
            Action::Quit => return true,
            Action::Cancel { device, id } => {
                let body = json!({ "id": id });
                let asked = Asked::Cancel {
                    device: device.clone(),
                    id,
                };
                (device, "cancel", body, asked)
            }
            Action::List { device } => {
                let asked = Asked::List {
                    device: device.clone(),
                };
                (device, "jobs", json!({}), asked)
            }
        };
        // What would leave later, when nobody expects it any more, is not sent at all.
        if !self.app.fleet.is_up() {
            let text = format!("{verb} is not sent: the broker is not connected");
            self.app.notify(text, now);
            return false;
        }
        let topic = Board::new(&self.prefix, &device).command(verb);
        let correlation = self.requests.begin(asked, now);
        if self
            .link
            .command(topic, body.to_string(), correlation)
            .is_err()
        {
            let text = format!("{verb} is not sent: too much waits for the broker");
            self.app.notify(text, now);
        }
        false
    }
}
