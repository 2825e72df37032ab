//! A figure of one run, with what is random and what is systematic in it, and the mean of several.

use crate::energy::student_t;
use crate::lab::explain::budget::{Kind, counted, in_repetition, kind};
use crate::lab::lookup::{self, Absent, Found, Path};
use crate::record::Reason;
use crate::record::result::{JobResult, Reasons, Rep};

/// A figure without an uncertainty, or why there is none.
pub type Plain = Result<f64, Option<Reason>>;

/// A figure of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfRun {
    /// Repetitions behind it; 1 for what an attempt has once.
    pub n: u32,
    pub mean: f64,
    pub median: f64,
    pub sd: Option<f64>,
    pub u95: Option<f64>,
    /// Systematic standard uncertainty, which n does not divide; `None` where the record
    /// does not tell.
    pub u_sys: Option<f64>,
}

impl OfRun {
    /// What a record states without an uncertainty.
    pub fn plain(value: f64) -> Self {
        Self {
            n: 1,
            mean: value,
            median: value,
            sd: None,
            u95: None,
            u_sys: Some(0.0),
        }
    }

    /// What a record states of the whole, with an uncertainty that more of the same don't lessen.
    pub fn stated(value: f64, u95: Option<f64>) -> Self {
        Self {
            u95,
            u_sys: u95.map(|u95| u95 / 2.0),
            ..Self::plain(value)
        }
    }

    /// `value`, as uncertain relative to itself as `self`, which it was made of.
    fn carried_to(&self, value: f64) -> Self {
        let relative = |u: Option<f64>| Some((u? * value / self.mean).abs());
        Self {
            u95: relative(self.u95),
            u_sys: relative(self.u_sys),
            ..Self::plain(value)
        }
    }
}

/// A figure that an attempt has once.
pub fn once(result: &JobResult, path: &str, name: &str) -> Result<OfRun, Option<Reason>> {
    let path = Path::parse(path).expect("a path of a figure's table");
    let found =
        lookup::find(result, &path).map_err(|absent| reason(absent, &result.reasons, name))?;
    Ok(of_path(&found, result, &path))
}

/// A figure of each repetition that ran to its end, by `value`. Where it is made of an energy of
/// the record, it is as uncertain as that.
pub fn each(
    result: &JobResult,
    value: fn(&JobResult, &Rep) -> Plain,
    energy: Option<&str>,
) -> Result<OfRun, Option<Reason>> {
    let of = |rep: &Rep| -> Result<OfRun, Option<Reason>> {
        let value = value(result, rep)?;
        let Some(energy) = energy else {
            return Ok(OfRun::plain(value));
        };
        let path = Path::Rep(rep.rep, energy.to_owned());
        match lookup::find(result, &path) {
            Ok(found) => Ok(of_path(&found, result, &path).carried_to(value)),
            Err(absent) => Err(reason(absent, &rep.reasons, energy)),
        }
    };
    over(result, counted(&result.reps).map(of).collect())
}

fn of_path(found: &Found, result: &JobResult, path: &Path) -> OfRun {
    OfRun {
        n: 1,
        mean: found.value(),
        median: found.value(),
        sd: None,
        u95: found.u95(),
        u_sys: systematic(found, result, path),
    }
}

fn reason(absent: Absent, reasons: &Reasons, name: &str) -> Option<Reason> {
    match absent {
        Absent::Because(reason) => reason,
        Absent::Unknown => reasons.get(name).copied(),
    }
}

pub fn repetitions(result: &JobResult, name: &str) -> Result<OfRun, Option<Reason>> {
    let summary = lookup::find(result, &Path::Summary(name.to_owned()));
    if let Ok(Found::Statistic(statistic)) = &summary
        && statistic.n > 1
    {
        let random = scatter(statistic.n, statistic.sd);
        let rest = || Some(remainder(statistic.u95?, random?));
        // Energies alone have a systematic part; speeds have none to be told.
        let of_speeds = (!name.starts_with("j_")).then_some(0.0);
        let u_sys = statistic.u_sys.or_else(rest).or(of_speeds);
        return Ok(OfRun {
            n: statistic.n,
            mean: statistic.mean,
            median: statistic.median,
            sd: statistic.sd,
            u95: statistic.u95.or_else(|| Some(random?.hypot(2.0 * u_sys?))),
            u_sys,
        });
    }
    if let Err(Absent::Because(Some(reason))) = summary {
        return Err(Some(reason));
    }
    let each = counted(&result.reps)
        .filter_map(|rep| in_repetition(name, rep.rep))
        .map(|path| match lookup::find(result, &path) {
            Ok(found) => Ok(of_path(&found, result, &path)),
            Err(absent) => Err(reason(absent, &result.reasons, name)),
        })
        .collect();
    over(result, each)
}

/// One value of the repetitions. Where one of them has none, neither has the run.
fn over(
    result: &JobResult,
    each: Result<Vec<OfRun>, Option<Reason>>,
) -> Result<OfRun, Option<Reason>> {
    let each = each?;
    match each.as_slice() {
        [] => Err(result
            .reasons
            .get("summary")
            .copied()
            .or(Some(Reason::NotReached))),
        [only] => Ok(*only),
        _ => Ok(mean(&each).expect("there are several")),
    }
}

/// Half of the 95 % interval of a mean from its scatter: Student's t on sd/√n.
fn scatter(n: u32, sd: Option<f64>) -> Option<f64> {
    let degrees = usize::try_from(n)
        .ok()?
        .checked_sub(1)
        .filter(|degrees| *degrees > 0)?;
    Some(student_t(degrees) * sd? / f64::from(n).sqrt())
}

/// The systematic standard uncertainty that makes `u95` of a random part.
fn remainder(u95: f64, random: f64) -> f64 {
    let squared = u95 * u95 - random * random;
    // What rounding leaves between two equal numbers is no uncertainty.
    match squared > 1e-4 * u95 * u95 {
        true => squared.sqrt() / 2.0,
        false => 0.0,
    }
}

/// Values that are equal but for chance: repetitions of a run, or runs of a configuration. Their
/// scatter is divided by √n, what is systematic in all of them is not. `None` of nothing.
pub fn mean(each: &[OfRun]) -> Option<OfRun> {
    let values: Vec<f64> = each.iter().map(|one| one.mean).collect();
    let spread = crate::energy::Statistic::of(&values)?;
    let u_sys: Option<f64> = each.iter().map(|one| one.u_sys).sum();
    let u_sys = u_sys.map(|sum| sum / each.len() as f64);
    Some(OfRun {
        n: spread.n,
        mean: spread.mean,
        median: spread.median,
        sd: spread.sd,
        u95: spread
            .u95
            .zip(u_sys)
            .map(|(random, u_sys)| random.hypot(2.0 * u_sys)),
        u_sys,
    })
}

/// The systematic standard uncertainty in a figure: the root of the sum of squares of its
/// systematic sources, or all of its uncertainty where the record does not hold them.
fn systematic(found: &Found, result: &JobResult, path: &Path) -> Option<f64> {
    match found {
        Found::Plain(_) => Some(0.0),
        Found::Statistic(statistic) => statistic.u_sys,
        Found::Measured {
            u95, budget: None, ..
        } => Some(u95 / 2.0),
        Found::Measured {
            budget: Some(budget),
            ..
        } => {
            let rail = lookup::rail(result, path);
            let shared = budget
                .iter()
                .filter(|(source, _)| kind(source, rail) != Kind::Random);
            Some(shared.map(|(_, u)| u * u).sum::<f64>().sqrt())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_run(u_sys: Option<f64>) -> OfRun {
        OfRun {
            n: 5,
            mean: 2.0,
            median: 2.0,
            sd: Some(0.1),
            u95: None,
            u_sys,
        }
    }

    #[test]
    fn what_is_systematic_is_what_scatter_leaves_of_the_uncertainty() {
        let random = scatter(5, Some(0.1)).unwrap();
        let u95 = random.hypot(2.0 * 0.03);
        assert!((remainder(u95, random) - 0.03).abs() < 1e-12);
        assert_eq!(remainder(random, random), 0.0);
        assert_eq!(remainder(random * (1.0 - 1e-9), random), 0.0);
    }

    #[test]
    fn what_is_made_of_an_energy_is_as_uncertain() {
        let energy = OfRun {
            u95: Some(0.06),
            u_sys: Some(0.02),
            ..of_run(None)
        };
        let carried = energy.carried_to(8.0);
        assert_eq!((carried.n, carried.mean), (1, 8.0));
        assert!((carried.u95.unwrap() - 0.24).abs() < 1e-12);
        assert!((carried.u_sys.unwrap() - 0.08).abs() < 1e-12);
        assert_eq!(of_run(None).carried_to(8.0).u_sys, None);
    }

    #[test]
    fn an_unknown_systematic_part_is_not_taken_for_none() {
        let known = mean(&[of_run(Some(0.0)), of_run(Some(0.1))]).unwrap();
        assert_eq!(known.u_sys, Some(0.05));
        assert!(known.u95.is_some());
        let unknown = mean(&[of_run(Some(0.0)), of_run(None)]).unwrap();
        assert_eq!((unknown.u_sys, unknown.u95), (None, None));
    }
}
