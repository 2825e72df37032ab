//! Which choice of an item is the most likely one, and how often that is the right one. As
//! lm-evaluation-harness counts: by the log-likelihood itself, and by it per character and per
//! byte of the choice; the first one of equals.

/// The choice of an item by each rule, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picks {
    pub plain: usize,
    /// By log-likelihood per character (`acc_norm`).
    pub by_characters: usize,
    /// By log-likelihood per byte (`acc_bytes`).
    pub by_bytes: usize,
}

impl Picks {
    /// `ln_p` has the log-likelihood of each of `choices`, of which there is one at least.
    pub fn of(ln_p: &[f64], choices: &[String]) -> Self {
        let per = |length: fn(&str) -> usize| {
            let lengths = choices.iter().map(|choice| length(choice).max(1) as f64);
            let normalised: Vec<f64> = ln_p.iter().zip(lengths).map(|(l, n)| l / n).collect();
            first_of_largest(&normalised)
        };
        Self {
            plain: first_of_largest(ln_p),
            by_characters: per(|choice| choice.chars().count()),
            by_bytes: per(str::len),
        }
    }
}

fn first_of_largest(values: &[f64]) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    best
}

/// `correct` of `items`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub correct: u32,
    pub items: u32,
}

impl Share {
    /// `None` without items.
    pub fn value(self) -> Option<f64> {
        (self.items > 0).then(|| f64::from(self.correct) / f64::from(self.items))
    }

    /// Standard error over the items, from their sample standard deviation; `None` below two.
    pub fn se(self) -> Option<f64> {
        let p = self.value()?;
        let degrees = self.items.checked_sub(1).filter(|n| *n > 0)?;
        Some((p * (1.0 - p) / f64::from(degrees)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choices(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn longer_choices_are_not_at_a_disadvantage_once_normalised() {
        let picks = Picks::of(&[-4.0, -6.0], &choices(&["no", "by no means"]));
        assert_eq!(
            (picks.plain, picks.by_characters, picks.by_bytes),
            (0, 1, 1)
        );
        // Two bytes a character.
        let picks = Picks::of(&[-4.0, -5.0], &choices(&["abcd", "éééé"]));
        assert_eq!((picks.by_characters, picks.by_bytes), (0, 1));
    }

    #[test]
    fn of_equals_the_first_one_counts() {
        let picks = Picks::of(&[-2.0, -1.0, -1.0], &choices(&["a", "b", "c"]));
        assert_eq!((picks.plain, picks.by_characters), (1, 1));
    }

    proptest! {
        /// Beside the definition: the sample standard deviation over √n.
        #[test]
        fn the_error_is_that_of_a_mean(hits in proptest::collection::vec(any::<bool>(), 2..300)) {
            let n = hits.len() as f64;
            let correct = hits.iter().filter(|hit| **hit).count() as u32;
            let share = Share { correct, items: hits.len() as u32 };
            let mean = f64::from(correct) / n;
            let squares: f64 = hits.iter().map(|hit| (f64::from(*hit) - mean).powi(2)).sum();
            let expected = (squares / (n - 1.0)).sqrt() / n.sqrt();
            prop_assert!((share.se().unwrap() - expected).abs() < 1e-12);
            prop_assert!((share.value().unwrap() - mean).abs() < 1e-12);
        }
    }

    #[test]
    fn one_item_has_no_error_and_none_has_no_share() {
        assert_eq!(
            Share {
                correct: 1,
                items: 1
            }
            .se(),
            None
        );
        assert_eq!(
            Share {
                correct: 0,
                items: 0
            }
            .value(),
            None
        );
    }
}
