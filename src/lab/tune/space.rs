//! What is tried: values of each axis, taken up stage by stage.
//!
//! An axis after the other, each with the best of those before it: their effects on a token's
//! cost are nearly factors. What is known to act together is in one stage. That makes a dozen
//! candidates of hundreds (docs/tune.md).

use super::candidate::{Candidate, is_quantised};
use crate::workload::{FlashAttn, KvType, Params};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    GpuLayers,
    Threads,
    NBatch,
    Repack,
    FlashAttn,
    KvType,
    Governor,
}

/// Axes that are explored together. In this order: what an accelerator does makes threads
/// matter less, and threads matter most for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Accelerator,
    Threads,
    Batch,
    Attention,
    Governor,
}

impl Stage {
    pub const ALL: [Self; 5] = [
        Self::Accelerator,
        Self::Threads,
        Self::Batch,
        Self::Attention,
        Self::Governor,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accelerator => "accelerator",
            Self::Threads => "threads",
            Self::Batch => "batch",
            Self::Attention => "attention",
            Self::Governor => "governor",
        }
    }

    /// Whether a shorter prompt would hide the effect: batches larger than it are all the same,
    /// and attention grows with it.
    pub fn needs_the_whole_prompt(self) -> bool {
        matches!(self, Self::Batch | Self::Attention)
    }
}

/// Values that are tried beside the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Space {
    pub gpu_layers: Vec<u32>,
    pub threads: Vec<u32>,
    pub n_batch: Vec<u32>,
    pub repack: Vec<bool>,
    pub flash_attn: Vec<FlashAttn>,
    pub kv_type: Vec<KvType>,
    pub governor: Vec<String>,
}

/// What the defaults turn out to be on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    pub threads: u32,
    /// `None` where the engine does not tell.
    pub flash_attn: Option<bool>,
}

/// More than any model has.
const EVERY_LAYER: u32 = 999;

/// A quarter, half, three quarters and all but one of the CPUs.
pub fn thread_counts(cpus: u32) -> Vec<u32> {
    let mut counts = vec![cpus / 4, cpus / 2, cpus * 3 / 4, cpus.saturating_sub(1)];
    counts.retain(|count| (1..cpus).contains(count));
    counts.sort_unstable();
    counts.dedup();
    counts
}

impl Space {
    /// All that this version knows to try on a board of so many CPUs; none of the governors.
    pub fn usual(cpus: u32) -> Self {
        Self {
            gpu_layers: vec![EVERY_LAYER],
            threads: thread_counts(cpus),
            // The engine computes at most 512 tokens at once, the default.
            n_batch: vec![256, 128],
            repack: vec![false],
            flash_attn: vec![FlashAttn::On, FlashAttn::Off],
            kv_type: vec![KvType::Q8_0],
            governor: Vec::new(),
        }
    }

    /// Leaves the other axes as they are on the board.
    pub fn only(mut self, axes: &[Axis]) -> Self {
        let has = |axis| axes.contains(&axis);
        self.gpu_layers.retain(|_| has(Axis::GpuLayers));
        self.threads.retain(|_| has(Axis::Threads));
        self.n_batch.retain(|_| has(Axis::NBatch));
        self.repack.retain(|_| has(Axis::Repack));
        self.flash_attn.retain(|_| has(Axis::FlashAttn));
        self.kv_type.retain(|_| has(Axis::KvType));
        self.governor.retain(|_| has(Axis::Governor));
        self
    }

    /// What is tried in a stage besides `from`, the best before it, and the defaults. A value
    /// that the default resolves to is none of its own.
    pub fn around(&self, stage: Stage, from: &Candidate, resolved: &Resolved) -> Vec<Candidate> {
        let of = |change: &dyn Fn(&mut Candidate)| {
            let mut candidate = from.clone();
            change(&mut candidate);
            candidate
        };
        let defaults = Params::default();
        let all: Vec<Candidate> = match stage {
            Stage::Accelerator => {
                let other = |n: u32| (n != defaults.gpu_layers).then_some(n);
                let each = |n: &u32| of(&|c| c.gpu_layers = other(*n));
                self.gpu_layers.iter().map(each).collect()
            }
            Stage::Threads => {
                let other = |n: u32| (n != resolved.threads).then_some(n);
                let each = |n: &u32| of(&|c| c.threads = other(*n));
                self.threads.iter().map(each).collect()
            }
            Stage::Batch => {
                let other = |n: u32| (n != defaults.n_batch).then_some(n);
                let batches = self.n_batch.iter().map(|n| of(&|c| c.n_batch = other(*n)));
                let repacks = self
                    .repack
                    .iter()
                    .map(|on| of(&|c| c.repack = (*on != defaults.repack).then_some(*on)));
                batches.chain(repacks).collect()
            }
            Stage::Attention => self.attention(from, resolved),
            Stage::Governor => {
                let each = |name: &String| of(&|c| c.governor = Some(name.clone()));
                self.governor.iter().map(each).collect()
            }
        };
        let mut found: Vec<Candidate> = Vec::new();
        for candidate in all {
            if !candidate.is_default() && candidate != *from && !found.contains(&candidate) {
                found.push(candidate);
            }
        }
        found
    }

    /// Both axes crossed; a rounded cache goes with flash attention only.
    fn attention(&self, from: &Candidate, resolved: &Resolved) -> Vec<Candidate> {
        let flash = |wanted: FlashAttn| match (wanted, resolved.flash_attn) {
            (FlashAttn::Auto, _) | (FlashAttn::On, Some(true)) | (FlashAttn::Off, Some(false)) => {
                None
            }
            _ => Some(wanted),
        };
        let mut ways: Vec<Option<FlashAttn>> = vec![from.flash_attn];
        ways.extend(self.flash_attn.iter().map(|wanted| flash(*wanted)));
        let mut types: Vec<Option<KvType>> = vec![from.kv_type];
        let default = Params::default().kv_type;
        types.extend(
            self.kv_type
                .iter()
                .map(|kv| (*kv != default).then_some(*kv)),
        );
        let crossed = types.iter().flat_map(|kv_type| {
            ways.iter().filter_map(|way| {
                let mut candidate = from.clone();
                candidate.kv_type = *kv_type;
                candidate.flash_attn = *way;
                if kv_type.is_some_and(is_quantised) {
                    let on = match way {
                        Some(FlashAttn::Off) => return None,
                        Some(_) => true,
                        None => resolved.flash_attn == Some(true),
                    };
                    if !on {
                        candidate.flash_attn = Some(FlashAttn::On);
                    }
                }
                Some(candidate)
            })
        });
        crossed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(space: &Space, stage: Stage, from: &Candidate, flash: Option<bool>) -> Vec<String> {
        let resolved = Resolved {
            threads: 4,
            flash_attn: flash,
        };
        let around = space.around(stage, from, &resolved);
        around.iter().map(Candidate::label).collect()
    }

    #[test]
    fn thread_counts_are_below_the_default() {
        assert_eq!(thread_counts(1), [0; 0]);
        assert_eq!(thread_counts(2), [1]);
        assert_eq!(thread_counts(4), [1, 2, 3]);
        assert_eq!(thread_counts(6), [1, 3, 4, 5]);
        assert_eq!(thread_counts(8), [2, 4, 6, 7]);
    }

    #[test]
    fn what_the_default_resolves_to_is_not_tried_twice() {
        let mut space = Space::usual(4);
        space.threads = vec![4, 2, 2];
        space.n_batch = vec![512, 256];
        space.repack = vec![true, false];
        let default = Candidate::default();
        let of = |stage, flash| labels(&space, stage, &default, flash);
        assert_eq!(of(Stage::Threads, None), ["threads 2"]);
        assert_eq!(of(Stage::Batch, None), ["n_batch 256", "repack off"]);
        let on = ["flash_attn off", "kv_type q8_0"];
        assert_eq!(of(Stage::Attention, Some(true)), on);
        let off = ["flash_attn on", "flash_attn on, kv_type q8_0"];
        assert_eq!(of(Stage::Attention, Some(false)), off);
        let unknown = [
            "flash_attn on",
            "flash_attn off",
            "flash_attn on, kv_type q8_0",
        ];
        assert_eq!(of(Stage::Attention, None), unknown);
    }

    #[test]
    fn a_stage_goes_on_from_the_best_before_it() {
        let space = Space::usual(4);
        let from = Candidate {
            threads: Some(2),
            ..Candidate::default()
        };
        assert_eq!(
            labels(&space, Stage::Batch, &from, None),
            [
                "threads 2, n_batch 256",
                "threads 2, n_batch 128",
                "threads 2, repack off"
            ]
        );
        // Back to the defaults is no candidate of its own: they are in every round anyway.
        let mut all = Space::usual(4);
        all.threads = vec![4, 3];
        assert_eq!(labels(&all, Stage::Threads, &from, None), ["threads 3"]);
    }

    #[test]
    fn an_axis_that_is_not_wanted_stays_as_it_is() {
        let space = Space::usual(4).only(&[Axis::Threads, Axis::Repack]);
        let default = Candidate::default();
        assert!(labels(&space, Stage::Accelerator, &default, None).is_empty());
        assert_eq!(labels(&space, Stage::Batch, &default, None), ["repack off"]);
        assert!(labels(&space, Stage::Attention, &default, None).is_empty());
        assert_eq!(labels(&space, Stage::Threads, &default, None).len(), 3);
    }
}
