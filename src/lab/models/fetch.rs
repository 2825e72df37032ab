//! `joulectl models fetch`: asks boards for models of their catalogues, and shows how far each is.

use super::{Boards, size};
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

/// A model may wait for days, behind jobs.
const FAR_AHEAD: Duration = Duration::from_secs(365 * 86_400);

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
    bar: ProgressBar,
}

impl Fetch {
    fn is_done(&self) -> bool {
        self.newest
            .as_ref()
            .is_some_and(|record| record.state.is_final())
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
    while fetches.iter().any(|fetch| !fetch.is_done()) {
        let Some(message) = client.next(Instant::now() + FAR_AHEAD).await? else {
            continue;
        };
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
        if fetch.is_done() {
            // It stays on the screen.
            fetch.bar.abandon();
            if as_json {
                let state = fetch.newest.as_ref().map(|record| record.state);
                println!("{}", fetch.line(state.unwrap_or(FetchState::Failed)));
            }
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
