//! `joulectl sweep`: a study from one manifest, over boards and interruptions (docs/sweep.md).
//!
//! ```text
//! manifest ─▶ axes, matrix ─▶ study: points, baseline ─┐
//!                                     order, cooling ─▶ book ◀─▶ studies/<hash>.json
//!                                                       │  ▲
//!                              boards ◀── submit ── session └─ state, status, health
//!                                 └─────▶ records ─▶ collect ─▶ dataset ─▶ plan, summary
//! ```
//!
//! The book says which job was sent where and what became of it; what runs next follows from it
//! and the study alone. Ids follow from the manifest, so that sending a job again is a question.

mod axes;
mod book;
mod cooling;
mod estimate;
mod folder;
mod gathering;
mod manifest;
mod matrix;
mod order;
mod plan;
mod ranking;
mod roster;
mod seat;
mod session;
mod show;
mod study;
mod summary;
#[cfg(test)]
mod testing;
mod text;

pub use manifest::{Manifest, ManifestError, Source};
pub use study::Study;

use super::LabError;
use super::client::Client;
use super::collect::{self, gather, prepare, time};
use super::dataset::{Dataset, Format};
use super::interrupt::interrupted;
use super::sign::Signing;
use super::target::Target;
use crate::clock;
use crate::units::Span;
use book::Book;
use estimate::Knowledge;
use folder::{Folder, Others};
use gathering::{collector, connected, settled};
use plan::{Coming, Plan, coming};
use roster::{Roster, Wanted};
use session::{End, Session};
use show::Show;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use summary::Summary;
use text::plural;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The study, in TOML
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// The dataset's folder, made where there is none
    #[arg(long, short, value_name = "DIR", default_value = "dataset")]
    pub out: PathBuf,
    /// What the dataset is made of
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    pub format: Format,
    /// Say what will run, how long and how many joules, and send nothing
    #[arg(long)]
    pub plan: bool,
    /// Run it on the boards of this group, whatever the manifest says
    #[arg(long, short, value_name = "NAME", conflicts_with = "device")]
    pub group: Option<String>,
    /// Go on in a folder where the study of this name began with another manifest, and take over
    /// the points that are the same
    #[arg(long)]
    pub extend: bool,
    /// Give points and baselines that failed, or were cancelled or refused, another try
    #[arg(long)]
    pub retry_failed: bool,
    /// How long boards that are away are waited for when nothing else is left to do
    #[arg(long, value_name = "TIME", default_value = "10min")]
    pub away: String,
    /// Print the plan, or what happens and the summary, as JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(target: &Target, options: &Options, signing: &Signing) -> Result<(), LabError> {
    let source = Source::read(&options.manifest)?;
    let study = Study::new(&source)?;
    let away = time("--away", &options.away)?;
    let folder = Folder::of(&options.out, &study.hash);
    let others = match options.extend {
        true => Others::Extended,
        false => Others::Refused,
    };
    let _alone = match options.plan {
        true => None,
        false => {
            prepare(&options.out, options.format, &target.prefix)?;
            Some(folder.lock()?)
        }
    };
    let mut book = folder.open(&study, others)?;
    if options.retry_failed {
        book.forgive();
    }
    let knowledge = knowledge(&source, &options.out, &folder.known()?)?;
    let wanted = Wanted::new(target, options.group.as_deref(), &source.manifest, &book);
    let command = Command {
        target,
        options,
        signing,
        away: Span(u64::try_from(away.as_nanos()).unwrap_or(u64::MAX / 2)),
        source,
        study,
        folder,
        knowledge,
        wanted,
    };
    match options.plan {
        true => command.plan(&book).await,
        false => command.carry_out(book).await,
    }
}

/// What the command is about.
struct Command<'c> {
    target: &'c Target,
    options: &'c Options,
    signing: &'c Signing,
    away: Span,
    source: Source,
    study: Study,
    folder: Folder,
    knowledge: Knowledge,
    wanted: Wanted,
}

/// How the work on a study ended: `None` where the person stopped it.
type Ended = Result<End, Option<LabError>>;

impl Command<'_> {
    async fn plan(&self, book: &Book) -> Result<(), LabError> {
        let mut warnings = self.study.warnings.clone();
        let seats = match roster::seats(self.target, &self.wanted, &self.study, book).await {
            Ok((_, roster)) => {
                warnings.extend(roster.warnings());
                roster.seats()
            }
            Err(LabError::Unreachable(why)) => {
                warnings.push(format!(
                    "{why}; planned as if every board could run everything"
                ));
                self.wanted.named(&self.study)
            }
            Err(error) => return Err(error),
        };
        let plan = Plan::new(&self.study, book, &seats, &self.knowledge, warnings);
        match self.options.json {
            true => println!("{}", plan.json()),
            false => print!("{}", plan.text()),
        }
        Ok(())
    }

    async fn carry_out(&self, mut book: Book) -> Result<(), LabError> {
        let (study, options) = (&self.study, self.options);
        let (client, roster) = roster::seats(self.target, &self.wanted, study, &book).await?;
        roster.can_run(study, &book)?;
        book.boards = roster.names();
        self.folder.keep(&self.source)?;
        self.folder.save(&book)?;

        let show = Show::new(options.json);
        for warning in study.warnings.iter().chain(&roster.warnings()) {
            show.note("warning", &format!("warning: {warning}"));
        }
        let coming = coming(study, &book, &roster.seats(), &self.knowledge);
        show.note("begin", &begin(study, &book, coming.len()));
        let (ended, missing) = self
            .beside_a_collector(client, &roster, &mut book, coming, &show)
            .await?;
        let summary = Summary::new(study, &book, &results(&options.out, &book)?);
        show.summary(&summary.text(), summary.json());
        match ended {
            Err(Some(error)) => Err(error),
            Err(None) => Err(LabError::Interrupted(goes_on(&book, options))),
            Ok(End::Away(boards)) => Err(LabError::Failed(format!(
                "{} stayed away, and nothing else was left to do; the same command goes on from \
                 here",
                boards.join(", ")
            ))),
            Ok(End::Done) => outcome(&summary, roster.unfit(study, &book), missing),
        }
    }

    /// The work on the study, while its records are collected. Returns how it ended, and of how
    /// many ended jobs records are missing.
    async fn beside_a_collector(
        &self,
        mut client: Client,
        roster: &Roster,
        book: &mut Book,
        coming: Vec<Coming>,
        show: &Show,
    ) -> Result<(Ended, usize), LabError> {
        let (of_boards, how) = collector(self.target, self.options, book, &self.study.hash);
        let (tell, mut told) = unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let collecting = gather(
            &of_boards,
            &how,
            collect::Show::to(tell, clock::now()),
            async {
                // Dropping it stops too.
                let _ = stopped.await;
            },
        );
        let mut collecting = pin!(collecting);
        let mut ended: Ended = {
            let working = pin!(async {
                connected(&mut told).await?;
                let of_unknown_age = book.open().map(|(item, _)| item).collect();
                let session = Session {
                    study: &self.study,
                    folder: &self.folder,
                    book: &mut *book,
                    client: &mut client,
                    signing: self.signing,
                    prefix: &self.target.prefix,
                    posts: roster.posts(),
                    show,
                    coming,
                    away: self.away,
                    told: &mut told,
                    heard: BTreeMap::new(),
                    of_unknown_age,
                };
                session.run().await
            });
            tokio::select! {
                biased;
                () = interrupted() => Err(None),
                ended = &mut collecting => return Err(too_early(ended)),
                ended = working => ended.map_err(Some),
            }
        };
        // What the boards still have of jobs that have ended.
        let mut missing = Ok(0);
        if ended.is_ok() {
            tokio::select! {
                biased;
                () = interrupted() => ended = Err(None),
                ended = &mut collecting => return Err(too_early(ended)),
                left = settled(&self.options.out, book, &mut told, show) => missing = left,
            }
        }
        drop(stop);
        tokio::select! {
            biased;
            () = interrupted() => {}
            ended = &mut collecting => ended?,
        }
        Ok((ended, missing?))
    }
}

fn begin(study: &Study, book: &Book, coming: usize) -> String {
    format!(
        "study {} ({}): {} to run on {}, {} done",
        study.name,
        study.hash,
        plural(coming, "job"),
        book.boards.join(", "),
        book.items.len() - book.open().count()
    )
}

/// The collector has no reason to end before the study.
fn too_early(ended: Result<(), LabError>) -> LabError {
    ended.err().unwrap_or_else(|| {
        LabError::Failed(
            "the collector ended before the study; start the same command again".to_owned(),
        )
    })
}

/// What there is to say against a study that has come to its end.
fn outcome(summary: &Summary, unfit: usize, uncollected: usize) -> Result<(), LabError> {
    let mut against = Vec::new();
    if summary.missing() > 0 {
        against.push(format!(
            "{} did not succeed; --retry-failed gives another try",
            plural(summary.missing(), "job")
        ));
    }
    if unfit > 0 {
        against.push(format!(
            "{} can't run where they should; the same command tries again once the boards can",
            plural(unfit, "point")
        ));
    }
    if uncollected > 0 {
        against.push(format!(
            "records of {} are not here yet; the same command asks for them again",
            plural(uncollected, "job")
        ));
    }
    match against.is_empty() {
        true => Ok(()),
        false => Err(LabError::Failed(against.join("; "))),
    }
}

fn goes_on(book: &Book, options: &Options) -> String {
    let open: Vec<&str> = book.open().map(|(_, item)| item.id.as_str()).collect();
    let open = match open.as_slice() {
        [] => "no job is on its way".to_owned(),
        ids => format!(
            "{} on the boards and go on: {}",
            plural(ids.len(), "job"),
            ids.join(", ")
        ),
    };
    format!(
        "stopped; {open}. `joulectl sweep {} --out {}` goes on from here",
        options.manifest.display(),
        options.out.display()
    )
}

/// What earlier results of the folder tell about time and energy.
fn knowledge(source: &Source, out: &Path, books: &[Book]) -> Result<Knowledge, LabError> {
    let mut knowledge = Knowledge::new(source.manifest.rates);
    let mut contents: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for item in books.iter().flat_map(|book| &book.items) {
        contents.insert((&item.device, &item.id), &item.content);
    }
    for result in all_results(out)? {
        let key = (result.stamp.device.as_str(), result.body.id.as_str());
        let content = contents.get(&key).map(|content| (*content).to_owned());
        knowledge.learn(&result, content);
    }
    Ok(knowledge)
}

type Results = Vec<crate::record::Stamped<crate::record::result::JobResult>>;

fn all_results(out: &Path) -> Result<Results, LabError> {
    if !out.join("dataset.json").exists() {
        return Ok(Vec::new());
    }
    let dataset = Dataset::open(&[out.to_owned()])?;
    Ok(dataset.results(|why| eprintln!("warning: {why}"))?)
}

fn results(out: &Path, book: &Book) -> Result<Results, LabError> {
    Ok(summary::of_book(book, all_results(out)?))
}

impl From<ManifestError> for LabError {
    fn from(error: ManifestError) -> Self {
        Self::Usage(error.to_string())
    }
}
