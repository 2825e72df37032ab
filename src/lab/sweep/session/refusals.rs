//! What it is about when a board does not take a job: from this follows whether the job is
//! written down as refused.

use crate::lab::LabError;
use crate::lab::submit::refused;
use crate::lab::target::Board;
use crate::record::answer::Refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The board as it is now.
    Moment,
    /// How the command signs. A board looks at the signature before it looks whether it has the
    /// job, so that this is no news of the job, which may be running.
    Signature,
    Job,
}

pub(super) fn about(refusal: &Refusal) -> About {
    match refusal.code.as_str() {
        "queue-full" | "rate-limited" | "draining" | "disk-full" | "outbox-full" | "storage" => {
            About::Moment
        }
        "unsigned" | "bad-signature" | "signature-expired" => About::Signature,
        _ => About::Job,
    }
}

/// The end of a command that a board does not take for its signature.
pub(super) fn not_signed_for(board: &Board, refusal: &Refusal) -> LabError {
    LabError::Usage(format!(
        "{}. No job is given up: the same command goes on from here, signed as the board wants it \
         (--sign-key, --valid-for)",
        refused(board, refusal)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_the_command_or_the_moment_is_not_said_of_the_job() {
        let refusal = |code: &str| Refusal {
            code: code.to_owned(),
            message: "no".to_owned(),
            field: None,
        };
        let of = |code: &str| about(&refusal(code));
        for code in ["unsigned", "bad-signature", "signature-expired"] {
            assert_eq!(of(code), About::Signature, "{code}");
        }
        assert_eq!(of("rate-limited"), About::Moment);
        for code in ["unknown-model", "invalid-spec", "conflict"] {
            assert_eq!(of(code), About::Job, "{code}");
        }
        let end = not_signed_for(&Board::new("jouled", "pi5-01"), &refusal("unsigned"));
        assert_eq!(end.exit_code(), 2);
        let said = end.to_string();
        assert!(
            said.starts_with("board pi5-01 refused: unsigned: no. No job is given up"),
            "{said}"
        );
    }
}
