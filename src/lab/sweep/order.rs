//! In which order a board runs the points of a round.

use super::manifest::Order;
use super::study::Study;
use sha2::{Digest, Sha256};

/// A point in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// From 1.
    pub round: u32,
    /// In the study's list.
    pub point: usize,
}

/// All rounds of a board, one after the other; each has every point once.
pub fn sequence(study: &Study, device: &str) -> Vec<Slot> {
    let count = study.points.len();
    let round = |round: u32| {
        let mut points: Vec<usize> = (0..count).collect();
        match study.order {
            Order::Given => {}
            Order::Rotate => {
                let gone = u64::from(round - 1) * count as u64 / u64::from(study.rounds);
                points.rotate_left(gone as usize);
            }
            // The order of hashes: a shuffle that needs no state and stays the same.
            Order::Random => points.sort_by_cached_key(|point| {
                let text = format!("{}/{round}/{device}/{point}", study.seed);
                Sha256::digest(text).to_vec()
            }),
        }
        points.into_iter().map(move |point| Slot { round, point })
    };
    (1..=study.rounds).flat_map(round).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sweep::testing::study;
    use proptest::prelude::*;

    fn points(study: &Study, device: &str, round: u32) -> Vec<usize> {
        let slots = sequence(study, device).into_iter();
        slots
            .filter(|slot| slot.round == round)
            .map(|slot| slot.point)
            .collect()
    }

    #[test]
    fn each_round_of_a_rotation_begins_further_on() {
        let study = Study {
            rounds: 3,
            ..study(6)
        };
        assert_eq!(points(&study, "a", 1), [0, 1, 2, 3, 4, 5]);
        assert_eq!(points(&study, "a", 2), [2, 3, 4, 5, 0, 1]);
        assert_eq!(points(&study, "a", 3), [4, 5, 0, 1, 2, 3]);
    }

    #[test]
    fn a_shuffle_is_another_one_in_each_round_and_on_each_board_and_the_same_again() {
        let random = |seed| Study {
            order: Order::Random,
            rounds: 2,
            seed,
            ..study(12)
        };
        let one = random(1);
        assert_eq!(sequence(&one, "a"), sequence(&random(1), "a"));
        assert_ne!(points(&one, "a", 1), points(&one, "a", 2));
        assert_ne!(points(&one, "a", 1), points(&one, "b", 1));
        assert_ne!(points(&one, "a", 1), points(&random(2), "a", 1));
    }

    proptest! {
        #[test]
        fn every_round_has_every_point_once(
            count in 1_usize..40, rounds in 1_u32..6, seed in any::<u64>(),
            order in prop_oneof![Just(Order::Given), Just(Order::Rotate), Just(Order::Random)],
        ) {
            let study = Study { rounds, seed, order, ..study(count) };
            let mut slots = sequence(&study, "pi5-01");
            prop_assert!(slots.is_sorted_by_key(|slot| slot.round));
            slots.sort_unstable();
            let all = (1..=rounds).flat_map(|round| (0..count).map(move |point| Slot { round, point }));
            prop_assert_eq!(slots, all.collect::<Vec<_>>());
        }
    }
}
