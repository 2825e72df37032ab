//! The rails of a source that reads them one after the other in a sweep, as points or
//! counters, and the total that a board profile states over them.

use super::config::SensorConfig;
use super::known::{KnownRails, KnownTotal};
use super::open::{rail, rail_names};
use super::track::Tracker;
use super::{Boundary, BoundaryBasis, ErrorLimits, PollError, RailSpec, ReadingKind, Sink};
use crate::units::{Amps, MonoNs, Span, Volts, Watts};

/// One rail before it is read.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    /// What the sensor itself calls the rail: `VDD_IN`, `package-0`.
    pub label: String,
    /// `Point` or `Counter`.
    pub kind: ReadingKind,
    /// Range at which a counter starts again from zero, in µJ.
    pub wrap: Option<i64>,
    pub limits: ErrorLimits,
}

/// One reading of one rail. `at` is the middle of the exchange that delivered it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sample {
    Point {
        at: MonoNs,
        power: Watts,
        voltage: Option<Volts>,
        current: Option<Amps>,
    },
    /// Cumulative energy in µJ.
    Counter { at: MonoNs, microjoules: i64 },
}

/// The rails of one sensor: one per channel, then the total where there is one.
pub(super) struct Sweep {
    specs: Vec<RailSpec>,
    trackers: Vec<Tracker>,
    total: Option<Total>,
}

/// The channels that are added at each sweep: points or counters, not both.
struct Total {
    parts: Vec<usize>,
    tracker: Tracker,
}

impl Sweep {
    /// A stated boundary holds for a sensor's only rail, and for those that no profile knows.
    pub fn new(
        config: &SensorConfig,
        known: &KnownRails,
        source: &'static str,
        default_boundary: Boundary,
        channels: Vec<Channel>,
    ) -> Sweep {
        let parts = known
            .total
            .as_ref()
            .and_then(|total| parts(total, &channels));
        let mut labels: Vec<String> = channels.iter().map(|c| c.label.clone()).collect();
        if parts.is_some() {
            labels.push("total".to_owned());
        }
        let names = rail_names(&config.name, &labels);
        let named = |label: &str| {
            let index = channels.iter().position(|channel| channel.label == label)?;
            Some(names[index].clone())
        };
        let mut specs = Vec::with_capacity(labels.len());
        for (channel, name) in channels.iter().zip(&names) {
            let mut spec = rail(config, name, default_boundary, source, channel.kind);
            spec.limits = channel.limits.clone();
            let alone = channels.len() == 1 && config.boundary.is_some();
            if let (Some(fact), false) = (known.rail(&channel.label), alone) {
                spec.boundary = fact.boundary;
                spec.boundary_basis = BoundaryBasis::Profile;
                let inside = fact.contained_in.as_deref().and_then(named);
                spec.contained_in = inside.or(spec.contained_in);
                spec.excludes = fact.excludes.clone();
            }
            specs.push(spec);
        }
        let total = parts.zip(known.total.as_ref()).map(|(parts, total)| {
            let name = names.last().expect("the total's own name");
            // What encloses every part encloses their sum.
            let first = specs[parts[0]].contained_in.clone();
            let around = first.filter(|_| {
                let mut pairs = parts.windows(2);
                pairs.all(|pair| specs[pair[0]].contained_in == specs[pair[1]].contained_in)
            });
            for &part in &parts {
                specs[part].contained_in = Some(name.clone());
            }
            let limits: Vec<(&ErrorLimits, Option<Volts>)> = parts
                .iter()
                .map(|&part| {
                    let fact = known.rail(&channels[part].label);
                    let voltage = fact.and_then(|fact| fact.nominal_voltage);
                    (&channels[part].limits, voltage)
                })
                .collect();
            let kind = channels[parts[0]].kind;
            let mut spec = rail(config, name, total.boundary, source, kind);
            spec.boundary = total.boundary;
            spec.boundary_basis = BoundaryBasis::Profile;
            spec.contained_in = around;
            spec.excludes = total.excludes.clone();
            spec.limits = added(&limits);
            specs.push(spec);
            Total {
                parts,
                // What its parts have counted never starts again from zero.
                tracker: Tracker::new(kind, None),
            }
        });
        let trackers = channels
            .iter()
            .map(|channel| Tracker::new(channel.kind, channel.wrap))
            .collect();
        Sweep {
            specs,
            trackers,
            total,
        }
    }

    pub fn specs(&self) -> &[RailSpec] {
        &self.specs
    }

    /// To fill in what only the source knows: mode, shunt, duty.
    pub fn specs_mut(&mut self) -> &mut [RailSpec] {
        &mut self.specs
    }

    /// A counter of something that may really draw nothing: standing still is no failure,
    /// and the next difference spans all the time since.
    pub fn may_stand_still(&mut self, channel: usize) {
        if let Some(tracker) = self.trackers.get_mut(channel) {
            tracker.may_stand_still();
        }
    }

    pub fn set_rate(&mut self, rate_hz: f64) {
        for spec in &mut self.specs {
            spec.nominal_rate_hz = rate_hz;
        }
    }

    /// Forgets the last readings: what comes next starts after a gap.
    pub fn restart(&mut self) {
        let total = self.total.iter_mut().map(|total| &mut total.tracker);
        for tracker in self.trackers.iter_mut().chain(total) {
            tracker.restart();
        }
    }

    /// Takes one sample per channel, `None` for what was absent: a gap, never a zero. An
    /// error is the first that a counter told; the others have been taken all the same.
    pub fn advance(
        &mut self,
        samples: &[Option<Sample>],
        period: Span,
        sink: &mut dyn Sink,
    ) -> Result<(), PollError> {
        let mut outcome = Ok(());
        for (index, (tracker, sample)) in self.trackers.iter_mut().zip(samples).enumerate() {
            let Some(sample) = sample else {
                continue;
            };
            match tracker.advance(sample, period) {
                Ok(Some(window)) => sink.push(index, window),
                Ok(None) => {}
                Err(error) => {
                    outcome = outcome.and(Err(error));
                    // What this part lost the total would lack without saying so.
                    if let Some(total) = &mut self.total
                        && total.parts.contains(&index)
                    {
                        total.tracker.restart();
                    }
                }
            }
        }
        if let Some(total) = &mut self.total
            && let Some(sum) = sum(&total.parts, samples, &self.trackers)
        {
            match total.tracker.advance(&sum, period) {
                Ok(Some(window)) => sink.push(self.trackers.len(), window),
                Ok(None) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }
}

/// The channels that `total` names; `None` unless every one is there and of one kind.
fn parts(total: &KnownTotal, channels: &[Channel]) -> Option<Vec<usize>> {
    if total.labels.len() < 2 {
        return None;
    }
    let named = |label: &String| channels.iter().position(|channel| channel.label == *label);
    let parts: Vec<usize> = total.labels.iter().map(named).collect::<Option<_>>()?;
    let kind = channels[parts[0]].kind;
    let of_one_kind = parts.iter().all(|&part| channels[part].kind == kind);
    of_one_kind.then_some(parts)
}

/// The sum of the parts at the mean of their times; `None` when one is absent. Counters add
/// what they have counted since they were opened, since each wraps on its own.
fn sum(parts: &[usize], samples: &[Option<Sample>], trackers: &[Tracker]) -> Option<Sample> {
    let mut power = Watts(0.0);
    let mut microjoules = 0;
    let mut counters = false;
    let mut times = 0u128;
    for &part in parts {
        let at = match samples.get(part).copied().flatten()? {
            Sample::Point { at, power: of, .. } => {
                power = power + of;
                at
            }
            Sample::Counter { at, .. } => {
                counters = true;
                microjoules += trackers[part].counted()?;
                at
            }
        };
        times += u128::from(at.0);
    }
    let at = MonoNs((times / parts.len() as u128) as u64);
    Some(if counters {
        Sample::Counter { at, microjoules }
    } else {
        Sample::Point {
            at,
            power,
            voltage: None,
            current: None,
        }
    })
}

/// Limits of a sum: systematic errors of the parts add up linearly. A part's limits of
/// current count at its nominal voltage, or 20 V, the largest of the supported boards.
fn added(parts: &[(&ErrorLimits, Option<Volts>)]) -> ErrorLimits {
    let mut sum = ErrorLimits::default();
    for (limits, voltage) in parts {
        let voltage = voltage.unwrap_or(Volts(20.0));
        for &(name, limit) in &limits.scale {
            match sum.scale.iter_mut().find(|(known, _)| *known == name) {
                Some((_, largest)) => *largest = largest.max(limit),
                None => sum.scale.push((name, limit)),
            }
        }
        sum.power_offset = sum.power_offset + limits.power_offset + voltage * limits.current_offset;
        sum.power_step = sum.power_step + limits.power_step + voltage * limits.current_step;
        sum.energy_step = sum.energy_step + limits.energy_step;
        sum.refresh = sum.refresh.max(limits.refresh);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::SensorKind;
    use crate::sensor::known::KnownRail;
    use crate::sensor::testing::Collect;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    fn point(ms: u64, power: f64) -> Option<Sample> {
        Some(Sample::Point {
            at: at(ms),
            power: Watts(power),
            voltage: None,
            current: None,
        })
    }

    fn channel(label: &str) -> Channel {
        Channel {
            label: label.to_owned(),
            kind: ReadingKind::Point,
            wrap: None,
            limits: ErrorLimits {
                scale: vec![("gain", 0.01)],
                current_step: Amps(0.02),
                ..ErrorLimits::default()
            },
        }
    }

    fn fact(label: &str, contained_in: Option<&str>) -> KnownRail {
        KnownRail {
            label: label.to_owned(),
            boundary: Boundary::Rail,
            contained_in: contained_in.map(str::to_owned),
            excludes: Vec::new(),
            shunt: None,
            nominal_voltage: Some(Volts(5.0)),
        }
    }

    /// A module whose total is a + b, with c inside b.
    fn module() -> (SensorConfig, KnownRails) {
        let mut config = SensorConfig::new("board", SensorKind::Hwmon);
        config.boundary = Some(Boundary::Module);
        let known = KnownRails {
            rails: vec![fact("a", None), fact("b", None), fact("c", Some("b"))],
            total: Some(KnownTotal {
                labels: vec!["a".into(), "b".into()],
                boundary: Boundary::Module,
                excludes: vec!["carrier".into()],
            }),
        };
        (config, known)
    }

    #[test]
    fn a_total_adds_its_parts_and_nothing_that_they_contain() {
        let (config, known) = module();
        let channels = vec![channel("a"), channel("b"), channel("c")];
        let mut sweep = Sweep::new(&config, &known, "hwmon", Boundary::Rail, channels);
        let names: Vec<&str> = sweep.specs().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["board.a", "board.b", "board.c", "board.total"]);
        let inside: Vec<Option<&str>> = sweep
            .specs()
            .iter()
            .map(|s| s.contained_in.as_deref())
            .collect();
        assert_eq!(
            inside,
            [
                Some("board.total"),
                Some("board.total"),
                Some("board.b"),
                None
            ]
        );
        let total = &sweep.specs()[3];
        assert_eq!(total.boundary, Boundary::Module);
        assert_eq!(total.boundary_basis, BoundaryBasis::Profile);
        assert!((total.limits.power_step.0 - 0.2).abs() < 1e-12);

        let mut sink = Collect::default();
        let period = Span::from_millis(100);
        let first = [point(0, 1.0), point(0, 2.0), point(0, 0.5)];
        let second = [point(100, 3.0), point(100, 4.0), point(100, 0.5)];
        let absent = [point(200, 3.0), None, point(200, 0.5)];
        sweep.advance(&first, period, &mut sink).unwrap();
        sweep.advance(&second, period, &mut sink).unwrap();
        sweep.advance(&absent, period, &mut sink).unwrap();
        let totals: Vec<Watts> = sink
            .0
            .iter()
            .filter(|(rail, _)| *rail == 3)
            .map(|(_, window)| window.power)
            .collect();
        assert_eq!(totals, [Watts(5.0)]);
    }

    #[test]
    fn what_encloses_every_part_encloses_the_total() {
        let (config, mut known) = module();
        known.rails[0].contained_in = Some("in".into());
        known.rails[1].contained_in = Some("in".into());
        known.rails.push(fact("in", None));
        let inside = |config: &SensorConfig, labels: &[&str]| -> Vec<Option<String>> {
            let channels = labels.iter().map(|label| channel(label)).collect();
            let sweep = Sweep::new(config, &known, "hwmon", Boundary::Rail, channels);
            let specs = sweep.specs().iter();
            specs.map(|spec| spec.contained_in.clone()).collect()
        };
        let some = |label: &str| Some(format!("board.{label}"));
        let total = some("total");
        let all = inside(&config, &["a", "b", "in"]);
        assert_eq!(all, [total.clone(), total.clone(), None, some("in")]);
        // Where the sensor doesn't have it, the configuration may say what encloses it.
        let config = SensorConfig {
            contained_in: Some("wall".into()),
            ..config
        };
        let outside = Some("wall".to_owned());
        assert_eq!(
            inside(&config, &["a", "b"]),
            [total.clone(), total, outside]
        );
    }

    #[test]
    fn without_a_part_there_is_no_total() {
        let (config, known) = module();
        let sweep = Sweep::new(
            &config,
            &known,
            "hwmon",
            Boundary::Rail,
            vec![channel("a"), channel("x")],
        );
        assert_eq!(sweep.specs().len(), 2);
        // What no profile knows is what the configuration says.
        assert_eq!(sweep.specs()[1].boundary, Boundary::Module);
        assert_eq!(sweep.specs()[1].boundary_basis, BoundaryBasis::Declared);
    }

    #[test]
    fn a_total_of_counters_wraps_part_by_part_and_restarts_with_any() {
        let (config, known) = module();
        let counter = |label: &str| Channel {
            kind: ReadingKind::Counter,
            wrap: (label == "a").then_some(1_000_000),
            ..channel(label)
        };
        let channels = vec![counter("a"), counter("b")];
        let mut sweep = Sweep::new(&config, &known, "rapl", Boundary::Package, channels);
        assert_eq!(sweep.specs()[2].kind, ReadingKind::Counter);
        let count = |ms, microjoules| {
            let at = at(ms);
            Some(Sample::Counter { at, microjoules })
        };
        let mut sink = Collect::default();
        let period = Span::from_millis(100);
        let mut advance =
            |ms, a, b| sweep.advance(&[count(ms, a), count(ms, b)], period, &mut sink);
        advance(0, 900_000, 0).unwrap();
        advance(100, 100_000, 50_000).unwrap();
        // b starts again: what it lost is not known, so the total has a gap.
        assert!(advance(200, 200_000, 10).is_err());
        advance(300, 300_000, 100_010).unwrap();
        let totals: Vec<(MonoNs, f64)> = sink
            .0
            .iter()
            .filter(|(rail, _)| *rail == 2)
            .map(|(_, window)| (window.t0, window.power.0))
            .collect();
        assert_eq!(totals.len(), 2);
        assert!((totals[0].1 - 2.5).abs() < 1e-9, "{totals:?}");
        assert_eq!(totals[1].0, at(200));
        assert!((totals[1].1 - 2.0).abs() < 1e-9, "{totals:?}");
    }
}
