//! Whether a worker keeps to the protocol: a pure check of each message against those
//! before it. A worker may be anything that an administrator has configured, so a time
//! that can't be is an error of the attempt, never a figure.

use super::protocol::{
    ChoiceDone, Loaded, Message, PhaseCounters, RepDone, Request, StopReason, VERSION, Work,
};
use crate::quality::items::{MOST_CHOICES, MOST_ITEMS};
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
    scores: Scores,
}

/// What a repetition that came to its end has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scores {
    None,
    Perplexity,
    Choice { most_items: usize },
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
                Work::Perplexity { .. } | Work::Choice { .. } => 0,
            },
            text: *text,
            scores: match work {
                Work::Generate { .. } | Work::Bench(_) => Scores::None,
                Work::Perplexity { .. } => Scores::Perplexity,
                Work::Choice { n_items, .. } => Scores::Choice {
                    most_items: n_items.map_or(MOST_ITEMS, |n| MOST_ITEMS.min(n as usize)),
                },
            },
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
                scored(done, run.scores)
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

/// Takes out scores that nobody has asked for. Those that were asked for must be there when the
/// repetition came to its end, and be ones.
fn scored(done: &mut RepDone, asked: Scores) -> Result<(), String> {
    let unscored = || format!("ended repetition {} without its scores", done.rep);
    let (perplexity, choice) = (done.perplexity.take(), done.choice.take());
    if matches!(
        done.stop_reason,
        StopReason::Cancelled | StopReason::Timeout
    ) {
        return Ok(());
    }
    match asked {
        Scores::None => Ok(()),
        Scores::Perplexity => {
            let perplexity = perplexity.ok_or_else(unscored)?;
            if perplexity.chunks == 0 || !perplexity.nll.is_plausible() {
                return Err("reported likelihoods that can't be".to_owned());
            }
            done.perplexity = Some(perplexity);
            Ok(())
        }
        Scores::Choice { most_items } => {
            let choice = choice.ok_or_else(unscored)?;
            if !plausible(&choice, most_items) {
                return Err("reported choices that can't be".to_owned());
            }
            done.choice = Some(choice);
            Ok(())
        }
    }
}

fn plausible(choice: &ChoiceDone, most_items: usize) -> bool {
    let items = choice.picked.len();
    let counts = [choice.correct, choice.correct_norm, choice.correct_bytes];
    let mut picks = choice.picked.iter().chain(&choice.picked_norm);
    (1..=most_items).contains(&items)
        && choice.picked_norm.len() == items
        && counts.iter().all(|&count| count as usize <= items)
        && picks.all(|&pick| usize::from(pick) < MOST_CHOICES)
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
mod tests;
