//! Power over an attempt and over one of its repetitions, where the job asked for its trace.

use super::Picture;
use crate::lab::plot::{Window, attempt};
use crate::record::job::Token;
use crate::record::result::JobResult;

/// What the records of an attempt hold besides its result.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detail {
    /// Of the primary rail, in seconds since the attempt's start.
    pub windows: Vec<Window>,
    /// With their repetition.
    pub tokens: Vec<(u32, Token)>,
}

/// The whole attempt, its typical repetition with a mark for each token, and the energy of
/// those tokens: as many of them as there are data for.
pub fn power(result: &JobResult, detail: &Detail) -> Vec<Picture> {
    let rail = result.primary_rail.as_deref().unwrap_or("–");
    let rep = attempt::typical_rep(result);
    let mut tokens: Vec<&Token> = detail
        .tokens
        .iter()
        .filter(|(of, _)| Some(*of) == rep)
        .map(|(_, token)| token)
        .collect();
    tokens.sort_by_key(|token| token.i);
    let whole = attempt::attempt(result, &detail.windows).map(|plot| Picture {
        caption: format!("Power over the whole attempt, rail {rail}"),
        plot,
        key: Vec::new(),
        bands: attempt::legend(result, &attempt::PHASES),
        note: "Where windows are denser than the picture, their extremes are drawn.".to_owned(),
    });
    let one = rep.and_then(|rep| {
        Some(Picture {
            caption: format!("Power over repetition {rep}; the strokes at the foot are tokens"),
            plot: attempt::repetition(result, &detail.windows, &tokens, rep)?,
            key: Vec::new(),
            bands: attempt::legend(result, &attempt::REP_PHASES),
            note: String::new(),
        })
    });
    let each = rep.and_then(|rep| {
        Some(Picture {
            caption: format!("Energy of each token of repetition {rep}, gross, with its u95; the axis does not begin at zero"),
            plot: attempt::energy_per_token(&tokens)?,
            key: Vec::new(),
            bands: Vec::new(),
            note: String::new(),
        })
    });
    [whole, one, each].into_iter().flatten().collect()
}
