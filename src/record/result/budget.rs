//! What an uncertainty is made of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Source of error → its standard uncertainty in the figure's unit. The sources are
/// independent: twice the root of the sum of their squares is the figure's `_u95`. A source
/// that is not named adds nothing. Empty where the figure is `null`.
pub type Contributions = BTreeMap<String, f64>;

/// The budgets of one interval's energy in joules.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    pub gross: Contributions,
    pub net: Contributions,
}
