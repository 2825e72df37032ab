//! The collector that works beside a study, so that no record of its jobs is lost.

use super::book::{Book, Item, Standing};
use super::show::Show;
use crate::clock;
use crate::lab::LabError;
use crate::lab::collect::staging::Staging;
use crate::lab::collect::{self, Told};
use crate::lab::target::Target;
use crate::units::Span;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// What the broker dropped is asked of the boards after this; they are idle at the end.
const GRACE: &str = "3s";
/// How long records may take that belong to ended jobs, since the last of them came.
const SETTLE_WITHIN: Span = Span::from_millis(120_000);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The collector is there from the first job on, so that no sample is missed.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// The study's own collector: of its boards, under its own name.
pub fn collector(
    target: &Target,
    options: &super::Options,
    book: &Book,
    hash: &str,
) -> (Target, collect::Options) {
    let target = Target {
        device: Some(book.boards.join(",")),
        ..target.clone()
    };
    let options = collect::Options {
        out: options.out.clone(),
        format: options.format,
        roll: "10min".to_owned(),
        roll_size: "64MiB".to_owned(),
        share: None,
        name: format!("sweep-{hash}"),
        session: "1d".to_owned(),
        grace: GRACE.to_owned(),
        runs_for: None,
        until_idle: None,
        json: options.json,
    };
    (target, options)
}

/// Returns when the collector hears the boards.
pub async fn connected(told: &mut UnboundedReceiver<Told>) -> Result<(), LabError> {
    let heard = tokio::time::timeout(CONNECT_WITHIN, async {
        while let Some(told) = told.recv().await {
            if told.event == "connected" {
                return;
            }
        }
        // Its end says why.
        std::future::pending().await
    });
    heard.await.map_err(|_| {
        LabError::Unreachable("the broker does not confirm what is subscribed to".to_owned())
    })
}

/// Waits until all records of ended jobs are here, or no more come. Returns of how many jobs
/// some are still missing.
pub async fn settled(
    root: &Path,
    book: &Book,
    told: &mut UnboundedReceiver<Told>,
    show: &Show,
) -> Result<usize, LabError> {
    let staging = Staging::open(root, "")?;
    let ran = |item: &&Item| {
        let ended = matches!(item.state, Standing::Succeeded | Standing::Failed);
        ended && item.taken_over_from.is_none()
    };
    let mut left: Vec<&Item> = book.items.iter().filter(ran).collect();
    let mut news_at = clock::now();
    loop {
        let before = left.len();
        let mut open = Vec::new();
        for item in left {
            if !staging.is_settled(&item.device, &item.id)? {
                open.push(item);
            }
        }
        left = open;
        let now = clock::now();
        if left.len() < before {
            news_at = now;
        }
        while let Ok(told) = told.try_recv() {
            if !matches!(told.event.as_str(), "connected" | "rolled") {
                show.note(&told.event, &told.text);
            }
        }
        if left.is_empty() || now.since(news_at) >= SETTLE_WITHIN {
            return Ok(left.len());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
