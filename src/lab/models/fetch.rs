//! `joulectl models fetch`: asks boards for models of their catalogues, and shows how far each is.

use super::{Boards, Stock, size, stock};
use crate::lab::LabError;
use crate::lab::client::Client;
use crate::lab::interrupt::interrupted;
use crate::lab::submit::refused;
use crate::lab::target::{Board, Target};
use crate::record::model::{FetchState, ModelRecord};
use crate::workload::ModelName;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// A model may wait for days, behind jobs. A board of which nothing was heard for as long is
/// asked: it may be gone, or have forgotten.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// A board that starts anew, or a network that fails, is back before so many questions.
const UNANSWERED_AT_MOST: u32 = 5;

/// A board's answer to `{"fetch"}`.
#[derive(Debug, Deserialize)]
struct Asked {
    state: FetchState,
}

/// A model of a board that is being fetched.
struct Fetch {
    board: Board,
    name: String,
    newest: Option<ModelRecord>,
    /// Since the boards were asked last.
    heard: bool,
    unanswered: u32,
    /// Why no end of it will be heard.
    lost: Option<&'static str>,
    bar: ProgressBar,
}

/// What a board's list says of a fetch.
#[derive(Debug, PartialEq, Eq)]
enum Listed {
    OnItsWay,
    Ended(FetchState),
    Forgotten,
}

fn listed(stock: &Stock, name: &str) -> Listed {
    let entry = stock.catalogue.iter().find(|entry| entry.name == name);
    match entry.map(|entry| entry.state.as_str()) {
        Some("ready") => Listed::Ended(FetchState::Ready),
        Some("failed") => Listed::Ended(FetchState::Failed),
        Some("absent" | "unverified" | "differs") => Listed::Forgotten,
        None if stock.left_out == 0 => Listed::Forgotten,
        // What this version does not know, or what did not fit.
        _ => Listed::OnItsWay,
    }
}

impl Fetch {
    fn is_done(&self) -> bool {
        let ended = |record: &ModelRecord| record.state.is_final();
        self.lost.is_some() || self.newest.as_ref().is_some_and(ended)
    }

    /// Asks the board, which has said nothing for a while.
    async fn ask(&mut self, client: &mut Client) -> Result<(), LabError> {
        let stock = match stock(client, &self.board).await {
            Ok(stock) => stock,
            Err(LabError::Unreachable(_)) => {
                self.unanswered += 1;
                if self.unanswered >= UNANSWERED_AT_MOST {
                    self.lost = Some("the board no longer answers; it goes on when it is back");
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.unanswered = 0;
        match listed(&stock, &self.name) {
            Listed::OnItsWay => {}
            Listed::Forgotten => self.lost = Some("the board has forgotten it; fetch it again"),
            Listed::Ended(state) => {
                let entry = stock.catalogue.into_iter();
                let mut entry = entry.filter(|entry| entry.name == self.name);
                self.newest = entry.next().map(|entry| ModelRecord {
                    rev: self.newest.as_ref().map_or(0, |record| record.rev),
                    state,
                    name: entry.name,
                    sha256: entry.sha256,
                    bytes: entry.bytes,
                    total_bytes: entry.total_bytes,
                    reason: entry.reason,
                });
            }
        }
        Ok(())
    }

    fn show_end(&self, as_json: bool) {
        // It stays on the screen.
        self.bar.abandon();
        if as_json {
            let state = self.newest.as_ref().map(|record| record.state);
            println!("{}", self.line(state.unwrap_or(FetchState::Failed)));
        }
    }

    fn line(&self, state: FetchState) -> String {
        let json = json!({"device": self.board.name(), "model": self.name, "state": state,
            "bytes": self.newest.as_ref().map(|record| record.bytes),
            "reason": self.newest.as_ref().and_then(|record| record.reason.clone())});
        json.to_string()
    }

    /// `pi5-01  m.gguf: fetching, 34.00 MB of 98.36 MB`.
    fn words(&self, record: &ModelRecord) -> String {
        let mut text = format!(
            "{}  {}: {}",
            self.board.name(),
            self.name,
            record.state.as_str()
        );
        if record.state != FetchState::Failed
            && let Some(total) = record.total_bytes
        {
            text = format!("{text}, {} of {}", size(record.bytes), size(total));
        }
        match &record.reason {
            Some(reason) => format!("{text}: {}", crate::print::harmless(reason)),
            None => text,
        }
    }
}

pub async fn run(
    target: &Target,
    boards: &Boards,
    names: &[ModelName],
    wait: bool,
    as_json: bool,
) -> Result<(), LabError> {
    let mut client = Client::connect(target).await?;
    let bars = MultiProgress::new();
    let mut fetches = Vec::new();
    let mut refusals = Vec::new();
    for board in boards.find(&mut client, target).await? {
        for name in names {
            if wait {
                client.subscribe(&board.model_state(name.as_str())).await?;
            }
            let answer = client
                .request::<Asked>(&board, "models", &json!({"fetch": name}))
                .await?;
            let asked = match answer {
                Ok(asked) => asked,
                // The others fetch all the same.
                Err(refusal) => {
                    refusals.push(refused(&board, &refusal));
                    continue;
                }
            };
            let fetch = Fetch {
                board: board.clone(),
                name: name.to_string(),
                newest: None,
                heard: false,
                unanswered: 0,
                lost: None,
                bar: ProgressBar::hidden(),
            };
            match (wait, as_json) {
                (true, _) => {}
                (false, true) => println!("{}", fetch.line(asked.state)),
                (false, false) => {
                    println!("{}  {name}  {}", board.name(), asked.state.as_str());
                }
            }
            fetches.push(fetch);
        }
    }
    if wait {
        if !as_json {
            for fetch in &mut fetches {
                fetch.bar = bars.add(bar());
                fetch
                    .bar
                    .set_message(format!("{}  {}", fetch.board.name(), fetch.name));
            }
        }
        // The end of an earlier fetch.
        client.forget_retained();
        tokio::select! {
            biased;
            () = interrupted() => return Err(LabError::Interrupted(
                "stopped waiting; the boards go on. `joulectl models list` shows how far they are"
                    .to_owned(),
            )),
            followed = follow(&mut client, &mut fetches, as_json) => followed?,
        }
    }
    outcome(&fetches, refusals)
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("[{bar:24}] {msg}")
        .expect("the template is right")
        .progress_chars("=> ");
    bar.set_style(style);
    bar
}

async fn follow(client: &mut Client, fetches: &mut [Fetch], as_json: bool) -> Result<(), LabError> {
    let mut ask_at = Instant::now() + ASK_EVERY;
    while fetches.iter().any(|fetch| !fetch.is_done()) {
        let message = client.next(ask_at).await?;
        if Instant::now() >= ask_at {
            for fetch in fetches.iter_mut().filter(|fetch| !fetch.is_done()) {
                if !std::mem::take(&mut fetch.heard) {
                    fetch.ask(client).await?;
                    if fetch.is_done() {
                        fetch.show_end(as_json);
                    }
                }
            }
            ask_at = Instant::now() + ASK_EVERY;
        }
        let Some(message) = message else { continue };
        let found = fetches
            .iter_mut()
            .find(|fetch| fetch.board.model_state(&fetch.name) == message.topic);
        let Some(fetch) = found else { continue };
        let Ok(record) = serde_json::from_slice::<ModelRecord>(&message.payload) else {
            continue;
        };
        let before = fetch.newest.as_ref();
        if fetch.is_done() || before.is_some_and(|before| before.rev > record.rev) {
            continue;
        }
        let is_news = before.is_none_or(|before| before.state != record.state);
        let text = fetch.words(&record);
        let hidden = fetch.bar.is_hidden();
        fetch.bar.set_length(record.total_bytes.unwrap_or(0));
        fetch.bar.set_position(record.bytes);
        fetch.bar.set_message(text.clone());
        fetch.newest = Some(record);
        (fetch.heard, fetch.unanswered) = (true, 0);
        if fetch.is_done() {
            fetch.show_end(as_json);
        }
        if !as_json && hidden && is_news {
            eprintln!("{text}");
        }
    }
    Ok(())
}

fn outcome(fetches: &[Fetch], mut refusals: Vec<LabError>) -> Result<(), LabError> {
    let failed: Vec<String> = fetches
        .iter()
        .filter_map(|fetch| {
            if let Some(lost) = fetch.lost {
                return Some(format!("{}  {}: {lost}", fetch.board.name(), fetch.name));
            }
            let record = fetch.newest.as_ref()?;
            (record.state == FetchState::Failed).then(|| fetch.words(record))
        })
        .collect();
    if refusals.len() == 1 && failed.is_empty() {
        return Err(refusals.remove(0));
    }
    let refused = refusals.iter().map(ToString::to_string);
    let all: Vec<String> = refused.chain(failed).collect();
    match all.is_empty() {
        true => Ok(()),
        false => Err(LabError::Failed(format!(
            "not everything was fetched:\n  {}",
            all.join("\n  ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_that_has_forgotten_is_told_from_one_that_is_at_it() {
        let entry = |state: &str| {
            json!({"name": "m.gguf", "sha256": "", "size_bytes": null,
            "state": state, "bytes": 5, "total_bytes": null, "reason": null})
        };
        let stock = |catalogue: serde_json::Value, left_out: u32| -> Stock {
            let stock = json!({"models": [], "catalogue": catalogue, "left_out": left_out});
            serde_json::from_value(stock).unwrap()
        };
        for (state, says) in [
            ("queued", Listed::OnItsWay),
            ("paused", Listed::OnItsWay),
            ("ready", Listed::Ended(FetchState::Ready)),
            ("failed", Listed::Ended(FetchState::Failed)),
            ("absent", Listed::Forgotten),
            ("differs", Listed::Forgotten),
        ] {
            assert_eq!(listed(&stock(json!([entry(state)]), 0), "m.gguf"), says);
        }
        assert_eq!(listed(&stock(json!([]), 0), "m.gguf"), Listed::Forgotten);
        assert_eq!(listed(&stock(json!([]), 1), "m.gguf"), Listed::OnItsWay);
    }
}
