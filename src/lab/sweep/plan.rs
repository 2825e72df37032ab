//! What a study will run, how long that takes and how many joules, before anything is sent.

use super::book::{Book, Role, Standing, Task};
use super::estimate::{Basis, Estimate, Knowledge};
use super::seat::Seat;
use super::study::{Point, Study};
use super::text::{lasting, plural};
use crate::lab::figure::Figure;
use crate::lab::submit::aligned;
use serde::Serialize;
use std::collections::BTreeMap;

/// A job that is still to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coming {
    /// Of the boards.
    pub seat: usize,
    pub task: Task,
    pub estimate: Estimate,
}

/// Everything that a study still has to run, if nothing fails.
pub fn coming(study: &Study, book: &Book, seats: &[Seat], knowledge: &Knowledge) -> Vec<Coming> {
    let mut book = book.clone();
    let mut all = Vec::new();
    let mut estimates: BTreeMap<(usize, Option<usize>), Estimate> = BTreeMap::new();
    let mut estimate = |seat: usize, task: Task| {
        let number = (task.role == Role::Point).then_some(task.number);
        *estimates
            .entry((seat, number))
            .or_insert_with(|| knowledge.estimate(&seats[seat].device, point(study, task)))
    };
    for (_, item) in book.clone().open() {
        let seat = seats.iter().position(|seat| seat.device == item.device);
        if let Some(seat) = seat {
            let task = Task {
                role: item.role,
                number: match item.role {
                    Role::Point => item.number - 1,
                    Role::Baseline => item.number,
                },
                round: item.round,
                trial: item.trial,
            };
            all.push(Coming {
                seat,
                task,
                estimate: estimate(seat, task),
            });
        }
    }
    for item in &mut book.items {
        if item.state == Standing::Sent {
            item.state = Standing::Succeeded;
        }
    }
    loop {
        let before = all.len();
        for (at, seat) in seats.iter().enumerate() {
            let next = book.next(study, seat);
            if let Some(task) = next {
                let item = book.begin(study, &seat.device, task, None);
                book.items[item].state = Standing::Succeeded;
                all.push(Coming {
                    seat: at,
                    task,
                    estimate: estimate(at, task),
                });
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

/// The point of a task.
pub fn point(study: &Study, task: Task) -> &Point {
    let point = match task.role {
        Role::Point => study.points.get(task.number),
        Role::Baseline => study.baseline.as_ref(),
    };
    point.expect("a task is of the study that it was made for")
}

/// How long and how much, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Sum {
    pub jobs: usize,
    pub time_s: f64,
    /// Jobs of which it is not known.
    pub without_time: usize,
    pub energy_j: f64,
    pub without_energy: usize,
    /// Whether some of it is of no real board.
    pub simulated: bool,
}

impl Sum {
    fn add(&mut self, estimate: &Estimate) {
        self.jobs += 1;
        match estimate.time_s {
            Some(time_s) => self.time_s += time_s,
            None => self.without_time += 1,
        }
        match estimate.energy_j {
            Some(energy_j) => {
                self.energy_j += energy_j;
                self.simulated |= estimate.simulated;
            }
            None => self.without_energy += 1,
        }
    }

    fn time(&self) -> String {
        known(self.jobs, self.without_time, &lasting(self.time_s))
    }

    fn energy(&self) -> String {
        let mark = if self.simulated { " SIMULATED" } else { "" };
        let energy = format!("{}{mark}", Figure::exact(self.energy_j).show("J"));
        known(self.jobs, self.without_energy, &energy)
    }
}

fn known(jobs: usize, without: usize, figure: &str) -> String {
    match without {
        0 => figure.to_owned(),
        without if without == jobs => "unknown".to_owned(),
        without => format!("{figure} and {} unknown", plural(without, "job")),
    }
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    point: String,
    role: &'static str,
    #[serde(flatten)]
    sum: Sum,
    basis: Basis,
    results: usize,
    /// Board → why it can't run it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unfit: BTreeMap<String, String>,
}

/// The plan, as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    study: String,
    hash: String,
    boards: Vec<String>,
    /// Jobs that have ended already.
    done: usize,
    points: Vec<Row>,
    /// Of all boards.
    total: Sum,
    /// On the board that takes longest.
    #[serde(rename = "longest_board")]
    longest: Sum,
    /// Whether boards are waited for besides.
    cools_down: bool,
    warnings: Vec<String>,
}

impl Plan {
    pub fn new(
        study: &Study,
        book: &Book,
        seats: &[Seat],
        knowledge: &Knowledge,
        warnings: Vec<String>,
    ) -> Self {
        let coming = coming(study, book, seats, knowledge);
        let mut total = Sum::default();
        let mut boards = vec![Sum::default(); seats.len()];
        let mut sums: BTreeMap<Option<usize>, (Sum, Estimate)> = BTreeMap::new();
        for job in &coming {
            total.add(&job.estimate);
            boards[job.seat].add(&job.estimate);
            let number = (job.task.role == Role::Point).then_some(job.task.number);
            let fresh = (Sum::default(), job.estimate);
            sums.entry(number).or_insert(fresh).0.add(&job.estimate);
        }
        let row = |number: Option<usize>, point: &Point| {
            let unfit = seats.iter().filter_map(|seat| {
                let why = seat.unfit.get(&number)?;
                Some((seat.device.clone(), why.clone()))
            });
            let (sum, estimate) = match sums.get(&number) {
                Some((sum, estimate)) => (*sum, Some(*estimate)),
                None => (Sum::default(), None),
            };
            Row {
                point: point.label.clone(),
                role: if number.is_some() {
                    "point"
                } else {
                    "baseline"
                },
                sum,
                basis: estimate.map_or(Basis::Unknown, |estimate| estimate.basis),
                results: estimate.map_or(0, |estimate| estimate.results),
                unfit: unfit.collect(),
            }
        };
        let baseline = study.baseline.iter().map(|point| row(None, point));
        let points = study.points.iter().enumerate();
        let points = baseline.chain(points.map(|(n, point)| row(Some(n), point)));
        let longest = boards.iter().copied().max_by(|a, b| {
            let size = |sum: &Sum| (sum.time_s, sum.jobs as f64);
            size(a)
                .partial_cmp(&size(b))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        Self {
            study: study.name.clone(),
            hash: study.hash.clone(),
            boards: seats.iter().map(|seat| seat.device.clone()).collect(),
            done: book.items.len() - book.open().count(),
            points: points.collect(),
            total,
            longest: longest.unwrap_or_default(),
            cools_down: study.cooldown.is_some(),
            warnings,
        }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a plan has only JSON-able fields")
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut rows = vec![["point", "jobs", "time", "energy", "known from"].map(str::to_owned)];
        for row in &self.points {
            let mark = match row.role {
                "baseline" => "baseline: ",
                _ => "",
            };
            let from = match row.basis {
                _ if row.sum.jobs == 0 && row.unfit.is_empty() => "done".to_owned(),
                _ if row.sum.jobs == 0 => "no board can run it".to_owned(),
                Basis::SamePoint => format!("{} of it", plural(row.results, "result")),
                Basis::Similar => format!("{} of the model", plural(row.results, "result")),
                Basis::Rates => "[rates]".to_owned(),
                Basis::Unknown => "nothing".to_owned(),
            };
            let cell = |text: String| match row.sum.jobs {
                0 => "–".to_owned(),
                _ => text,
            };
            rows.push([
                format!("{mark}{}", row.point),
                row.sum.jobs.to_string(),
                cell(row.sum.time()),
                cell(row.sum.energy()),
                from,
            ]);
        }
        let mut out = aligned(&rows);
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        let boards = match self.boards.as_slice() {
            [] => "no board".to_owned(),
            several => several.join(", "),
        };
        line(String::new());
        line(format!("study {} ({}) on {boards}", self.study, self.hash));
        if self.done > 0 {
            line(format!("{} have ended already", plural(self.done, "job")));
        }
        let cooldown = match self.cools_down {
            true => "; cool-down comes on top",
            false => "",
        };
        line(match self.total {
            Sum { jobs: 0, .. } => "nothing is left to run".to_owned(),
            Sum {
                jobs,
                without_time,
                without_energy,
                ..
            } if (without_time, without_energy) == (jobs, jobs) => format!(
                "{} to run; how long and how many joules is unknown",
                plural(jobs, "job")
            ),
            total => format!(
                "{} to run: {}{}, {} in all{cooldown}",
                plural(total.jobs, "job"),
                self.longest.time(),
                match self.boards.len() {
                    0 | 1 => "",
                    _ => " on the board that takes longest",
                },
                total.energy(),
            ),
        });
        if self.total.without_time > 0 {
            line(
                "what is unknown can be told in [rates], or is known after the first jobs"
                    .to_owned(),
            );
        }
        for warning in &self.warnings {
            line(format!("warning: {warning}"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sweep::manifest::{Rates, Spread};
    use crate::lab::sweep::seat::Unfit;
    use crate::lab::sweep::testing::of;

    fn study() -> Study {
        of(
            "name = 'a'\nrounds = 2\n[job]\nkind = 'bench'\nidle = { before_s = 5, after_s = 5 }\n\
            repetitions = 1\nwarmup = 0\n\
            [[matrix]]\nmodel = ['a', 'b']\nn_prompt = 0\nn_gen = 100\n\
            [baseline]\nmodel = 'a'\nn_prompt = 0\nn_gen = 50\n",
        )
    }

    /// 15 s a point, 13 s a baseline run.
    fn knowledge() -> Knowledge {
        Knowledge::new(Rates {
            load_s: Some(3.0),
            decode_tok_s: Some(50.0),
            power_w: Some(4.0),
            ..Rates::default()
        })
    }

    fn seats(study: &Study, names: &[&str]) -> Vec<Seat> {
        let seat = |name: &&str| Seat::new(study, name, Unfit::new());
        names.iter().map(seat).collect()
    }

    #[test]
    fn a_plan_counts_jobs_seconds_and_joules() {
        let study = study();
        let plan = Plan::new(
            &study,
            &Book::new(&study),
            &seats(&study, &["x", "y"]),
            &knowledge(),
            vec![],
        );
        let json = plan.json();
        assert_eq!(json["total"]["jobs"], 12);
        assert_eq!(json["longest_board"]["time_s"], 4.0 * 15.0 + 2.0 * 14.0);
        assert_eq!(
            json["total"]["energy_j"],
            2.0 * 4.0 * (4.0 * 15.0 + 2.0 * 14.0)
        );
        assert_eq!(json["points"][0]["role"], "baseline");
        let text = console::strip_ansi_codes(&plan.text()).into_owned();
        assert!(
            text.contains("12 jobs to run: 1 min 28 s on the board"),
            "{text}"
        );
        assert!(text.contains("704.0 J in all"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let study = study();
        let mut board = seats(&study, &["x"]);
        board[0]
            .unfit
            .insert(Some(1), "it has no model b".to_owned());
        let nothing = Knowledge::default();
        let plan = Plan::new(
            &study,
            &Book::new(&study),
            &board,
            &nothing,
            vec!["beware".to_owned()],
        );
        let text = console::strip_ansi_codes(&plan.text()).into_owned();
        assert!(
            text.contains("4 jobs to run; how long and how many joules is unknown"),
            "{text}"
        );
        assert_eq!(plan.json()["points"][2]["unfit"]["x"], "it has no model b");
        assert!(
            text.contains("no board can run it") && text.contains("warning: beware"),
            "{text}"
        );
        assert!(text.contains("[rates]"), "{text}");
    }

    #[test]
    fn boards_that_share_a_study_run_each_point_once_and_the_baseline_each() {
        let mut study = study();
        study.spread = Spread::Any;
        let plan = Plan::new(
            &study,
            &Book::new(&study),
            &seats(&study, &["x", "y"]),
            &knowledge(),
            vec![],
        );
        assert_eq!(plan.json()["total"]["jobs"], 8);
    }

    #[test]
    fn what_has_ended_is_not_planned_again_and_what_was_sent_is() {
        let study = study();
        let mut book = Book::new(&study);
        let first = book.next(&study, &seats(&study, &["x"])[0]).unwrap();
        let at = book.begin(&study, "x", first, None);
        let plan = |book: &Book| {
            Plan::new(&study, book, &seats(&study, &["x"]), &knowledge(), vec![]).json()
        };
        assert_eq!(plan(&book)["total"]["jobs"], 6);
        book.items[at].state = Standing::Succeeded;
        let json = plan(&book);
        assert_eq!(
            (&json["total"]["jobs"], &json["done"]),
            (&5.into(), &1.into())
        );
    }
}
