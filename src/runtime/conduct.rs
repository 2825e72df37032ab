//! Whether a worker keeps to the protocol: a pure check of each message against those
//! before it. A worker may be anything that an administrator has configured, so a time
//! that can't be is an error of the attempt, never a figure.

use super::protocol::{Loaded, Message, PhaseCounters, Request, VERSION, Work};
use crate::units::MonoNs;
use crate::workload::Phase;

/// What the messages so far allow the next one to say.
#[derive(Debug, Clone)]
pub struct Conduct {
    spawned: MonoNs,
    greeted: bool,
    /// What was asked for last.
    run: Option<Asked>,
    phases: u32,
    /// The last repetition that has ended.
    rep_ended: u32,
    /// End of the last phase of the run.
    phase_end: Option<MonoNs>,
    /// Repetition, next token and last token time.
    tokens: Option<(u32, u32, MonoNs)>,
}

/// How much a run can have to report.
#[derive(Debug, Clone, Copy)]
struct Asked {
    warmup: u32,
    repetitions: u32,
    /// Output tokens of a repetition; of a bench one time more.
    tokens: u32,
    text: bool,
}

impl Asked {
    /// A repetition of a bench has eight at most.
    fn most_phases(self) -> u32 {
        const EACH: u32 = 16;
        let repetitions = self.warmup.saturating_add(self.repetitions);
        repetitions.saturating_add(1).saturating_mul(EACH)
    }
}

/// What a worker says about its engine and the model goes into the result as it is.
const MOST_LOADED_BYTES: usize = 32 << 10;

impl Conduct {
    pub fn new(spawned: MonoNs) -> Self {
        Self {
            spawned,
            greeted: false,
            run: None,
            phases: 0,
            rep_ended: 0,
            phase_end: None,
            tokens: None,
        }
    }

    /// A new run begins with its request: its phases have no predecessor.
    pub fn asked(&mut self, request: &Request) {
        let Request::Run {
            work,
            warmup,
            repetitions,
            text,
        } = request
        else {
            return;
        };
        self.run = Some(Asked {
            warmup: *warmup,
            repetitions: *repetitions,
            tokens: match work {
                Work::Generate { n_predict, .. } => *n_predict,
                Work::Bench(sizes) => sizes.n_gen.saturating_add(1),
            },
            text: *text,
        });
        self.phases = 0;
        self.rep_ended = 0;
        self.phase_end = None;
        self.tokens = None;
    }

    /// `now` is the time at which the message was received. Counters that can't be are taken
    /// out of the message: no energy depends on them. The error is a sentence on what the
    /// worker did.
    pub fn check(&mut self, message: &mut Message, now: MonoNs) -> Result<(), String> {
        if !self.greeted && !matches!(message, Message::Hello { .. } | Message::Error { .. }) {
            return Err("spoke before its hello".to_owned());
        }
        match message {
            Message::Hello { protocol, .. } => self.hello(*protocol),
            Message::Load(loaded) => {
                let share = loaded.resident_before;
                if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
                    return Err("reported a share of resident pages that is none".to_owned());
                }
                size(loaded)?;
                keep_plausible(&mut loaded.counters);
                self.moment(loaded.t1_ns, now)
            }
            Message::Phase {
                phase,
                rep,
                t0_ns,
                t1_ns,
                counters: counted,
                ..
            } => {
                keep_plausible(counted);
                let run = self.run_of(rep.unwrap_or(1))?;
                self.phases += 1;
                if self.phases > run.most_phases() {
                    return Err(format!("reported more than {} phases", run.most_phases()));
                }
                self.phase(*phase, *t0_ns, *t1_ns, now)
            }
            Message::Tokens {
                rep,
                t0_ns,
                first,
                t_ns,
            } => {
                let most = self.run_of(*rep)?.tokens;
                if let Some(first) = t_ns.first() {
                    self.moment(*t0_ns, now)?;
                    if first < t0_ns {
                        return Err(format!("sent a token of repetition {rep} before its start"));
                    }
                }
                self.tokens(*rep, *first, t_ns, most, now)
            }
            Message::Rep(done) => {
                let run = self.run_of(done.rep)?;
                if done.rep <= self.rep_ended {
                    return Err(format!("ended repetition {} again", done.rep));
                }
                self.rep_ended = done.rep;
                // Nobody has asked for it.
                done.text = done.text.take().filter(|_| run.text);
                Ok(())
            }
            Message::Done { .. } | Message::Error { .. } => Ok(()),
        }
    }

    /// What was asked for, if this repetition is a part of it.
    fn run_of(&self, rep: u32) -> Result<Asked, String> {
        match self.run {
            None => Err("reported a run that nobody has asked for".to_owned()),
            Some(run) if (1..=run.repetitions).contains(&rep) => Ok(run),
            Some(run) => Err(format!(
                "reported repetition {rep}, and was asked for {}",
                run.repetitions
            )),
        }
    }

    fn hello(&mut self, protocol: u32) -> Result<(), String> {
        if self.greeted {
            return Err("said hello twice".to_owned());
        }
        if protocol != VERSION {
            return Err(format!(
                "speaks version {protocol} of the protocol, this daemon speaks version {VERSION}"
            ));
        }
        self.greeted = true;
        Ok(())
    }

    fn phase(&mut self, phase: Phase, t0: MonoNs, t1: MonoNs, now: MonoNs) -> Result<(), String> {
        if matches!(phase, Phase::Load | Phase::IdleBefore | Phase::IdleAfter) {
            return Err(format!("reported {phase:?}, which is not a worker's phase"));
        }
        self.moment(t0, now)?;
        self.moment(t1, now)?;
        if t1 < t0 {
            return Err(format!("reported {phase:?} as ending before it began"));
        }
        if self.phase_end.is_some_and(|end| end != t0) {
            return Err(format!(
                "left a gap or an overlap between {phase:?} and the phase before it"
            ));
        }
        self.phase_end = Some(t1);
        Ok(())
    }

    fn tokens(
        &mut self,
        rep: u32,
        first: u32,
        t_ns: &[MonoNs],
        most: u32,
        now: MonoNs,
    ) -> Result<(), String> {
        let (mut next, mut last) = match self.tokens {
            Some((known, next, last)) if known == rep => (next, last),
            Some((known, _, last)) if rep > known => (first, last),
            Some((known, ..)) => {
                return Err(format!("sent tokens of repetition {rep} after {known}"));
            }
            None => (first, self.spawned),
        };
        let starts = self.tokens.is_none_or(|(known, ..)| known != rep);
        if first != next || (starts && first != 0) {
            return Err(format!(
                "sent token {first} of repetition {rep} out of order"
            ));
        }
        for &time in t_ns {
            self.moment(time, now)?;
            if time < last {
                return Err(format!("sent a time of token {next} that goes backwards"));
            }
            last = time;
            next += 1;
            if next > most {
                return Err(format!(
                    "sent more than the {most} tokens that it was asked for"
                ));
            }
        }
        self.tokens = Some((rep, next, last));
        Ok(())
    }

    fn moment(&self, time: MonoNs, now: MonoNs) -> Result<(), String> {
        if time < self.spawned || time > now {
            return Err(format!(
                "reported the time {} ns, outside its own life",
                time.0
            ));
        }
        Ok(())
    }
}

fn size(loaded: &Loaded) -> Result<(), String> {
    let bytes = serde_json::to_vec(loaded).map_or(0, |text| text.len());
    if bytes > MOST_LOADED_BYTES {
        return Err(format!(
            "said {bytes} bytes about its engine and model, more than {MOST_LOADED_BYTES}"
        ));
    }
    Ok(())
}

/// Without hardware counts that had a counter for longer than there was time: they were scaled
/// by it.
fn keep_plausible(counted: &mut PhaseCounters) {
    counted.hardware = counted.hardware.filter(|hardware| {
        let times = hardware.running_ns.zip(hardware.enabled_ns);
        times.is_none_or(|(running, enabled)| running <= enabled)
    });
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{HardwareCounts, RepDone, StopReason};
    use super::*;
    use proptest::prelude::*;

    const NOW: MonoNs = MonoNs(1_000);

    fn greeted() -> Conduct {
        let mut conduct = Conduct::new(MonoNs(100));
        conduct
            .check(&mut hello(VERSION), NOW)
            .expect("a hello comes first");
        conduct.asked(&run(2));
        conduct
    }

    fn run(repetitions: u32) -> Request {
        Request::Run {
            work: Work::Generate {
                prompt: None,
                messages: None,
                n_predict: 4,
                ignore_eos: true,
            },
            warmup: 0,
            repetitions,
            text: false,
        }
    }

    fn rep(rep: u32, text: Option<&str>) -> Message {
        Message::Rep(RepDone {
            rep,
            prompt_tokens: 1,
            output_tokens: 1,
            stop_reason: StopReason::Length,
            prompt_sha256: None,
            output_sha256: None,
            text: text.map(str::to_owned),
        })
    }

    fn hello(protocol: u32) -> Message {
        Message::Hello {
            protocol,
            pid: 1,
            name: "x".to_owned(),
            revision: "y".to_owned(),
        }
    }

    fn phase(phase: Phase, t0: u64, t1: u64) -> Message {
        Message::Phase {
            phase,
            rep: Some(1),
            t0_ns: MonoNs(t0),
            t1_ns: MonoNs(t1),
            tokens: 0,
            counters: Default::default(),
        }
    }

    fn tokens(rep: u32, first: u32, times: &[u64]) -> Message {
        Message::Tokens {
            rep,
            t0_ns: MonoNs(100),
            first,
            t_ns: times.iter().copied().map(MonoNs).collect(),
        }
    }

    #[test]
    fn a_well_behaved_worker_passes() {
        let mut conduct = greeted();
        for mut message in [
            tokens(1, 0, &[200, 210]),
            tokens(1, 2, &[210]),
            phase(Phase::Prefill, 150, 200),
            phase(Phase::Decode, 200, 210),
            tokens(2, 0, &[300]),
        ] {
            assert_eq!(conduct.check(&mut message, NOW), Ok(()));
        }
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let refused = |messages: &[Message]| {
            let mut conduct = greeted();
            messages
                .iter()
                .any(|message| conduct.check(&mut message.clone(), NOW).is_err())
        };
        assert!(refused(&[hello(VERSION)]));
        assert!(refused(&[phase(Phase::Load, 200, 300)]));
        assert!(refused(&[phase(Phase::Decode, 300, 200)]));
        assert!(refused(&[phase(Phase::Decode, 50, 200)]));
        assert!(refused(&[phase(Phase::Decode, 200, 1_001)]));
        assert!(refused(&[
            phase(Phase::Prefill, 150, 200),
            phase(Phase::Decode, 201, 210)
        ]));
        assert!(refused(&[tokens(1, 2, &[200])]));
        assert!(refused(&[tokens(1, 0, &[200]), tokens(1, 2, &[210])]));
        assert!(refused(&[tokens(1, 0, &[200, 199])]));
        assert!(refused(&[tokens(2, 0, &[200]), tokens(1, 0, &[210])]));
        // More than was asked for.
        assert!(refused(&[tokens(3, 0, &[200])]));
        assert!(refused(&[tokens(1, 0, &[200; 5])]));
        assert!(!refused(&[tokens(1, 0, &[200; 4])]));
        assert!(refused(&[rep(0, None)]));
        assert!(refused(&[rep(3, None)]));
        assert!(refused(&[rep(1, None), rep(1, None)]));
        assert!(!refused(&[rep(1, None), rep(2, None)]));
        assert!(
            Conduct::new(MonoNs(0))
                .check(&mut hello(VERSION + 1), NOW)
                .is_err()
        );
        assert!(
            Conduct::new(MonoNs(0))
                .check(&mut tokens(1, 0, &[1]), NOW)
                .is_err()
        );
    }

    #[test]
    fn counters_with_more_time_than_there_is_are_dropped_and_nothing_else() {
        let counted = |running_ns| {
            let mut message = phase(Phase::Prefill, 150, 200);
            if let Message::Phase { counters, .. } = &mut message {
                counters.major_faults = Some(3);
                counters.hardware = Some(HardwareCounts {
                    enabled_ns: Some(50),
                    running_ns,
                    ..HardwareCounts::default()
                });
            }
            greeted().check(&mut message, NOW).expect("it is no breach");
            let Message::Phase { counters, .. } = message else {
                unreachable!("it stays a phase")
            };
            assert_eq!(counters.major_faults, Some(3));
            counters.hardware.is_some()
        };
        assert!(counted(Some(50)));
        assert!(counted(None));
        assert!(!counted(Some(51)));
    }

    #[test]
    fn phases_without_end_and_runs_that_nobody_asked_for_are_refused() {
        let mut conduct = greeted();
        let accepted = (0..1_000)
            .take_while(|_| {
                conduct
                    .check(&mut phase(Phase::Other, 150, 150), NOW)
                    .is_ok()
            })
            .count();
        assert_eq!(accepted, 48);
        let mut unasked = Conduct::new(MonoNs(0));
        unasked.check(&mut hello(VERSION), NOW).unwrap();
        for mut message in [
            phase(Phase::Other, 150, 150),
            tokens(1, 0, &[200]),
            rep(1, None),
        ] {
            assert!(unasked.check(&mut message, NOW).is_err(), "{message:?}");
        }
    }

    #[test]
    fn a_text_that_nobody_asked_for_is_dropped() {
        let mut message = rep(1, Some("secret"));
        greeted().check(&mut message, NOW).expect("it is no breach");
        assert_eq!(message, rep(1, None));
    }

    proptest! {
        #[test]
        fn accepted_token_times_never_go_backwards(
            batches in proptest::collection::vec(
                (1u32..3, 0u32..4, proptest::collection::vec(0u64..2_000, 0..4)), 0..12)
        ) {
            let mut conduct = greeted();
            let mut accepted = Vec::new();
            for (rep, first, times) in batches {
                if conduct.check(&mut tokens(rep, first, &times), NOW).is_err() {
                    break;
                }
                accepted.extend(times);
            }
            prop_assert!(accepted.is_sorted());
            prop_assert!(accepted.iter().all(|t| (100..=1_000).contains(t)));
        }
    }
}
