//! The boards of a study, and which of its points each can run.

use super::book::{Book, Role, Task};
use super::manifest::{Manifest, Spread};
use super::plan::point;
use super::seat::{Seat, Unfit};
use super::session::Post;
use super::study::Study;
use super::text::plural;
use crate::lab::LabError;
use crate::lab::client::Client;
use crate::lab::fleet::{self, Member};
use crate::lab::submit::{Unfit as Misfit, lacks};
use crate::lab::target::{Board, Target};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Boards that are asked for, by the command line or else by the manifest, and those that have
/// had jobs of the study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    group: Option<String>,
    devices: Vec<String>,
    earlier: Vec<String>,
}

impl Wanted {
    pub fn new(target: &Target, group: Option<&str>, manifest: &Manifest, book: &Book) -> Self {
        let given = target.device.iter().flat_map(|names| names.split(','));
        let mut devices: Vec<String> = given.map(|name| name.trim().to_owned()).collect();
        let mut group = group.map(str::to_owned);
        if devices.is_empty() && group.is_none() {
            devices.clone_from(&manifest.devices);
            group.clone_from(&manifest.group);
        }
        Self {
            group,
            devices,
            earlier: book.boards.clone(),
        }
    }

    /// As far as names are known without a broker.
    pub fn named(&self, study: &Study) -> Vec<Seat> {
        let names: BTreeSet<&String> = self.devices.iter().chain(&self.earlier).collect();
        let seat = |device: &str| Seat::new(study, device, Unfit::new());
        match names.is_empty() {
            true => vec![seat("a board")],
            false => names.into_iter().map(|name| seat(name)).collect(),
        }
    }
}

/// A study's boards.
#[derive(Debug)]
pub struct Roster {
    members: Vec<(Member, Seat)>,
}

/// Finds the boards, and what of the study each can't run that it still is to.
pub async fn seats(
    target: &Target,
    wanted: &Wanted,
    study: &Study,
    book: &Book,
) -> Result<(Client, Roster), LabError> {
    let mut client = Client::connect(target).await?;
    let mut names: BTreeSet<String> = wanted
        .devices
        .iter()
        .chain(&wanted.earlier)
        .cloned()
        .collect();
    if let Some(group) = &wanted.group {
        let members = fleet::group(&mut client, &target.prefix, group).await?;
        names.extend(members.iter().map(|member| member.name().to_owned()));
    }
    if names.is_empty() {
        names.insert(client.board(target).await?.name().to_owned());
    }
    let all = fleet::boards(&mut client, &target.prefix).await?;
    let mut members = Vec::new();
    for name in names {
        let found = all.iter().find(|member| member.name() == name);
        let member = match found {
            Some(member) => member.clone(),
            // It may have had jobs, and its broker has forgotten it.
            None if wanted.earlier.contains(&name) => Member {
                board: Board::new(&target.prefix, &name),
                status: None,
                info: None,
            },
            None => {
                return Err(LabError::Unreachable(format!(
                    "no board named {name} has ever been on this broker; `mosquitto_sub -V 5 -v \
                     -t '{}/+/status'` lists the boards",
                    target.prefix
                )));
            }
        };
        let seat = Seat::new(study, &name, unfit(&member, study, book));
        members.push((member, seat));
    }
    Ok((client, Roster { members }))
}

/// What the board says that it can't run, of what is not there yet.
fn unfit(member: &Member, study: &Study, book: &Book) -> Unfit {
    let mut unfit = Unfit::new();
    let mut look = |number: Option<usize>, job: &serde_json::Map<String, Value>| {
        let mut job = job.clone();
        job.insert("id".to_owned(), json!("point"));
        // What a board does not say of itself, it says when it is sent a job.
        if let Some(Misfit::Lacks(why)) = lacks(member, &Value::Object(job)) {
            unfit.insert(number, why);
        }
    };
    for (number, point) in study.points.iter().enumerate() {
        if !book.has(study, member.name(), number) {
            look(Some(number), &point.job);
        }
    }
    if let Some(baseline) = &study.baseline {
        look(None, &baseline.job);
    }
    unfit
}

impl Roster {
    pub fn names(&self) -> Vec<String> {
        self.members
            .iter()
            .map(|(_, seat)| seat.device.clone())
            .collect()
    }

    pub fn seats(&self) -> Vec<Seat> {
        self.members.iter().map(|(_, seat)| seat.clone()).collect()
    }

    pub fn posts(&self) -> Vec<Post> {
        let posts = self.members.iter();
        posts
            .map(|(member, seat)| {
                Post::new(seat.clone(), member.board.clone(), member.status.clone())
            })
            .collect()
    }

    /// Boards that are away, and what they can't run.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (member, seat) in &self.members {
            if !member.is_online() {
                warnings.push(format!("board {} is offline", seat.device));
            }
            if let Some(why) = seat.unfit.get(&None) {
                warnings.push(format!(
                    "board {} can't run the baseline ({why}): its drift won't be known",
                    seat.device
                ));
            }
            let mut reasons: BTreeMap<&String, usize> = BTreeMap::new();
            for why in seat
                .unfit
                .iter()
                .filter_map(|(point, why)| point.map(|_| why))
            {
                *reasons.entry(why).or_default() += 1;
            }
            for (why, points) in reasons {
                let points = plural(points, "point");
                warnings.push(format!("board {} can't run {points}: {why}", seat.device));
            }
        }
        warnings
    }

    /// Points that are not there and can't run where they should: on any of the boards, or on
    /// each of them.
    pub fn unfit(&self, study: &Study, book: &Book) -> usize {
        let runs = |number: &usize| {
            let mut fits = self.members.iter().map(|(_, seat)| {
                seat.fits(Some(*number)) || book.has(study, &seat.device, *number)
            });
            match study.spread {
                Spread::Each => fits.all(|fits| fits),
                Spread::Any => fits.any(|fits| fits),
            }
        };
        let points = 0..study.points.len();
        points.filter(|number| !runs(number)).count()
    }

    /// Errors: no board can run any point, and nothing was ever sent.
    pub fn can_run(&self, study: &Study, book: &Book) -> Result<(), LabError> {
        let can = |(_, seat): &(Member, Seat)| {
            (0..study.points.len()).any(|number| seat.fits(Some(number)))
        };
        if !book.items.is_empty() || self.members.iter().any(can) {
            return Ok(());
        }
        let first = |(_, seat): &(Member, Seat)| {
            let (number, why) = seat.unfit.iter().find(|(number, _)| number.is_some())?;
            let task = Task {
                role: Role::Point,
                number: (*number)?,
                round: 1,
                trial: 1,
            };
            let label = &point(study, task).label;
            Some(format!("\n  {} ({label}): {why}", seat.device))
        };
        let reasons: String = self.members.iter().filter_map(first).collect();
        Err(LabError::Usage(format!(
            "no board can run any point:{reasons}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sweep::book::Standing;
    use crate::lab::sweep::testing;

    /// A board that says that it can't run anything.
    fn unable(study: &Study, book: &Book) -> Roster {
        let member = Member {
            board: Board::new("jouled", "a"),
            status: None,
            info: serde_json::from_value(json!({})).unwrap(),
        };
        let seat = Seat::new(study, "a", unfit(&member, study, book));
        Roster {
            members: vec![(member, seat)],
        }
    }

    #[test]
    fn a_board_need_not_be_able_to_run_what_is_there() {
        for spread in [Spread::Each, Spread::Any] {
            let mut study = testing::study(2);
            study.spread = spread;
            let mut book = Book::new(&study);
            let roster = unable(&study, &book);
            assert_eq!(roster.unfit(&study, &book), 2);
            let error = roster.can_run(&study, &book).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            for left in [1, 0] {
                let task = book.next(&study, &testing::seat(&study, "a")).unwrap();
                let at = book.begin(&study, "a", task, None);
                let before = unable(&study, &book);
                book.items[at].state = Standing::Succeeded;
                assert_eq!(before.unfit(&study, &book), left, "it was on its way");
                let roster = unable(&study, &book);
                assert_eq!(roster.unfit(&study, &book), left);
                let about_points = |why: &String| why.contains("can't run 1 point:");
                let told = roster
                    .warnings()
                    .iter()
                    .filter(|why| about_points(why))
                    .count();
                assert_eq!(told, left);
                assert_eq!(roster.can_run(&study, &book), Ok(()));
            }
        }
    }
}
