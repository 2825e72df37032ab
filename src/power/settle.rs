//! Waiting for the kernel to act on what it has taken. A write of a limit returns once it is
//! noted; what is in force, and shown, follows from a kernel worker (drivers/cpufreq/cpufreq.c:
//! the notifiers of freq_qos schedule the policy's update).

use crate::clock;
use crate::units::Span;

/// Far longer than a worker waits for its turn on a busy board.
const WITHIN: Span = Span::from_millis(1_000);
const LOOK_AGAIN: Span = Span::from_millis(10);

/// Returns once it holds, or when it is late enough to be told what is shown instead.
pub fn settle(mut holds: impl FnMut() -> bool) {
    let give_up = clock::now() + WITHIN;
    while !holds() && clock::now() < give_up {
        clock::sleep(LOOK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_waited_for_and_what_never_comes_is_given_up() {
        let mut looks = 0;
        settle(|| {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
        let begun = clock::now();
        settle(|| false);
        assert!(clock::now() >= begun + WITHIN);
    }
}
