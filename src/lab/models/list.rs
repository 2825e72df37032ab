//! `joulectl models list` and `verify`.

use super::{Boards, Entry, Stock, size, stock};
use crate::lab::LabError;
use crate::lab::client::Client;
use crate::lab::submit::aligned;
use crate::lab::target::Target;
use serde::Serialize;
use serde_json::json;

/// Digits of a hash that tell models apart in a table.
pub(super) const SHORT: usize = 12;

pub async fn list(target: &Target, boards: &Boards, as_json: bool) -> Result<(), LabError> {
    let mut client = Client::connect(target).await?;
    let mut rows = Vec::new();
    for board in boards.find(&mut client, target).await? {
        let stock = stock(&mut client, &board).await?;
        if as_json {
            println!(
                "{}",
                json!({"device": board.name(), "models": stock.models,
                    "catalogue": stock.catalogue, "left_out": stock.left_out})
            );
            continue;
        }
        if stock.left_out > 0 {
            eprintln!(
                "{} more of board {} are not listed",
                stock.left_out,
                board.name()
            );
        }
        rows.extend(lines(board.name(), &stock));
    }
    if as_json {
        return Ok(());
    }
    if rows.is_empty() {
        eprintln!("no models, and no catalogue");
        return Ok(());
    }
    rows.insert(
        0,
        ["board", "model", "size", "sha256", "state"].map(str::to_owned),
    );
    print!("{}", aligned(&rows));
    Ok(())
}

/// The catalogue first, then models that are in none.
fn lines(device: &str, stock: &Stock) -> Vec<[String; 5]> {
    let short = |hash: &str| hash.chars().take(SHORT).collect::<String>();
    let is_listed = |name: &str| stock.catalogue.iter().any(|entry| entry.name == name);
    let offered = stock.catalogue.iter().map(|entry| {
        let total = entry
            .total_bytes
            .or(Some(entry.bytes).filter(|bytes| *bytes > 0));
        [
            device.to_owned(),
            entry.name.clone(),
            total.map_or("?".to_owned(), size),
            short(&entry.sha256),
            standing(entry),
        ]
    });
    let others = stock.models.iter().filter(|model| !is_listed(&model.name));
    let others = others.map(|model| {
        [
            device.to_owned(),
            model.name.clone(),
            model.size_bytes.map_or("?".to_owned(), size),
            model.sha256.as_deref().map_or("?".to_owned(), short),
            match &model.reason {
                None => "present, in no catalogue".to_owned(),
                Some(reason) => crate::print::harmless(reason),
            },
        ]
    });
    offered.chain(others).collect()
}

/// `fetching 34 %`, `failed: …`.
fn standing(entry: &Entry) -> String {
    let state = crate::print::harmless(&entry.state);
    if let Some(reason) = &entry.reason {
        return format!("{state}: {}", crate::print::harmless(reason));
    }
    match entry.total_bytes {
        Some(total) if total > 0 && matches!(entry.state.as_str(), "fetching" | "verifying") => {
            format!("{state} {} %", entry.bytes * 100 / total)
        }
        _ => state,
    }
}

/// What a comparison with the catalogue brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Right,
    /// Another file of the same name.
    Wrong,
    NotHashed,
    Absent,
    InNoCatalogue,
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "WRONG: another file of this name",
            Self::NotHashed => "not hashed yet; try again",
            Self::Absent => "absent",
            Self::InNoCatalogue => "in no catalogue",
        }
    }
}

fn verdicts(stock: &Stock) -> Vec<(String, Verdict)> {
    let verdict = |entry: &Entry| {
        let found = stock.models.iter().find(|model| model.name == entry.name);
        match (entry.state.as_str(), found.map(|model| &model.sha256)) {
            ("ready", _) => Verdict::Right,
            ("differs", _) => Verdict::Wrong,
            ("unverified", _) => Verdict::NotHashed,
            // Something is being fetched, or has failed: what lies there counts.
            (_, Some(Some(hash))) if hash.eq_ignore_ascii_case(&entry.sha256) => Verdict::Right,
            (_, Some(Some(_))) => Verdict::Wrong,
            (_, Some(None)) => Verdict::NotHashed,
            (_, None) => Verdict::Absent,
        }
    };
    let offered = stock
        .catalogue
        .iter()
        .map(|entry| (entry.name.clone(), verdict(entry)));
    let is_listed = |name: &str| stock.catalogue.iter().any(|entry| entry.name == name);
    let others = stock.models.iter().filter(|model| !is_listed(&model.name));
    let others = others.map(|model| (model.name.clone(), Verdict::InNoCatalogue));
    offered.chain(others).collect()
}

pub async fn verify(target: &Target, boards: &Boards, as_json: bool) -> Result<(), LabError> {
    let mut client = Client::connect(target).await?;
    let mut rows = vec![["board", "model", "verdict"].map(str::to_owned)];
    let mut doubtful = 0;
    for board in boards.find(&mut client, target).await? {
        let stock = stock(&mut client, &board).await?;
        for (name, verdict) in verdicts(&stock) {
            doubtful += usize::from(matches!(verdict, Verdict::Wrong | Verdict::NotHashed));
            if as_json {
                println!(
                    "{}",
                    json!({"device": board.name(), "model": name, "verdict": verdict})
                );
            }
            rows.push([board.name().to_owned(), name, verdict.words().to_owned()]);
        }
    }
    if !as_json {
        print!("{}", aligned(&rows));
    }
    match doubtful {
        0 => Ok(()),
        n => Err(LabError::Failed(format!(
            "{n} models are not known to be the ones of the catalogue; `joulectl models fetch` \
             replaces a wrong one"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock() -> Stock {
        let entry = |name: &str, state: &str, reason: serde_json::Value| {
            json!({"name": name, "sha256": "ab".repeat(32), "size_bytes": 200, "state": state,
                "bytes": 50, "total_bytes": 200, "reason": reason})
        };
        let model = |name: &str, hash: &str| {
            json!({"name": name, "size_bytes": 98_362_432, "sha256": hash.repeat(32),
                "arch": "llama", "reason": null})
        };
        serde_json::from_value(json!({
            "catalogue": [
                entry("a.gguf", "fetching", json!(null)),
                entry("b.gguf", "failed", json!("the server answers 404")),
                entry("c.gguf", "differs", json!(null)),
                entry("d.gguf", "ready", json!(null)),
                entry("e.gguf", "failed", json!("the server answers 404")),
            ],
            "models": [model("c.gguf", "cd"), model("d.gguf", "ab"), model("e.gguf", "AB"),
                       model("own.gguf", "ef")],
        }))
        .unwrap()
    }

    #[test]
    fn the_list_says_what_is_there_and_what_could_be() {
        let lines = lines("pi5-01", &stock());
        let last: Vec<&str> = lines.iter().map(|line| line[4].as_str()).collect();
        assert_eq!(
            last,
            [
                "fetching 25 %",
                "failed: the server answers 404",
                "differs",
                "ready",
                "failed: the server answers 404",
                "present, in no catalogue"
            ]
        );
        assert_eq!(lines[5][2], "98.36 MB");
        assert_eq!(lines[0][3], "abababababab");
    }

    #[test]
    fn what_lies_there_counts_and_not_what_became_of_a_fetch() {
        use Verdict::*;
        let verdicts: Vec<Verdict> = verdicts(&stock()).into_iter().map(|(_, v)| v).collect();
        assert_eq!(
            verdicts,
            [Absent, Absent, Wrong, Right, Right, InNoCatalogue]
        );
    }
}
