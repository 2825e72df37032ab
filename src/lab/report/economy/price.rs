//! What a million output tokens cost. A joule a token is a megajoule a million tokens, and a
//! kilowatt-hour is 3.6 MJ. Prices are taken as exact; uncertain are energy, power and speed.
//!
//! - energy = J/token ÷ 3.6 × price of a kWh ÷ efficiency of the supply
//! - hardware = price ÷ (life × utilisation × tok/s) × 10⁶
//! - between uses = idle power × (1 − u) ÷ u ÷ tok/s ÷ 3.6 × price of a kWh ÷ efficiency

use super::super::assumptions::{Api, BetweenUses, Cost};
use super::super::configuration::Dimension;
use super::super::study::{Configuration, Pooled};
use crate::record::Reason;

/// A Julian year, in seconds.
const YEAR_S: f64 = 365.25 * 86_400.0;
const MEGAJOULES_A_KWH: f64 = 3.6;

/// A sum of money, or a ratio of two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    pub value: f64,
    /// `None` where something in it has an unknown uncertainty.
    pub u95: Option<f64>,
}

/// Why there is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Nobody stated it: the key of the assumptions.
    NotStated(&'static str),
    /// It was not measured.
    NotMeasured(Option<Reason>),
}

pub type Known = Result<Amount, Missing>;

/// Which tokens the energy and the time are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Output tokens of whole requests: prefill is paid for too.
    Request,
    /// Output tokens of decode alone, where no request was measured.
    Decode,
}

/// Costs of a million output tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    pub basis: Basis,
    pub energy: Known,
    pub between_uses: Known,
    pub hardware: Known,
    pub total: Known,
}

impl Amount {
    fn of(pooled: &Pooled) -> Self {
        Self {
            value: pooled.value.mean,
            u95: pooled.value.u95,
        }
    }

    pub fn times(self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            u95: self.u95.map(|u95| u95 * factor.abs()),
        }
    }

    /// `factor` ÷ this.
    fn under(self, factor: f64) -> Self {
        let value = factor / self.value;
        Self {
            value,
            u95: self.u95.map(|u95| value.abs() * u95 / self.value.abs()),
        }
    }

    /// Errors of a run's energies and times may have one cause: they add up, which is never too
    /// little.
    fn plus(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            u95: self.u95.zip(other.u95).map(|(a, b)| a + b),
        }
    }

    fn product(self, other: Self) -> Self {
        let part = |u95: Option<f64>, of: f64| Some(u95? * of.abs());
        let parts = part(self.u95, other.value).zip(part(other.u95, self.value));
        Self {
            value: self.value * other.value,
            u95: parts.map(|(a, b)| a + b),
        }
    }
}

fn figure(configuration: &Configuration, name: &str) -> Known {
    let pooled = configuration.named(name).as_ref();
    let pooled = pooled.map_err(|reason| Missing::NotMeasured(*reason))?;
    Ok(Amount::of(pooled))
}

impl Basis {
    /// Of a configuration: whole requests wherever they were measured.
    pub fn of(configuration: &Configuration) -> Self {
        match configuration.named("output_tok_s") {
            Ok(_) => Self::Request,
            Err(_) => Self::Decode,
        }
    }

    /// Whose tokens: `requests`, `decode`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "requests",
            Self::Decode => "decode",
        }
    }

    /// The figures of energy a token and of speed.
    pub fn figures(self) -> (&'static str, &'static str) {
        match self {
            Self::Request => ("j_per_output_token_all_in", "output_tok_s"),
            Self::Decode => ("j_per_output_token", "decode_tok_s"),
        }
    }
}

/// What a megajoule at the configuration's boundary costs at the socket.
fn megajoule(cost: &Cost, configuration: &Configuration) -> Result<f64, Missing> {
    let electricity = cost.electricity.as_ref();
    let electricity = electricity.ok_or(Missing::NotStated("cost.electricity"))?;
    let efficiency = match configuration.text(Dimension::Boundary).as_str() {
        "board-input" => cost.supply.as_ref().map_or(1.0, |supply| supply.efficiency),
        _ => 1.0,
    };
    Ok(electricity.price_per_kwh / MEGAJOULES_A_KWH / efficiency)
}

/// The costs of a configuration on a board of this profile.
pub fn costs(cost: &Cost, configuration: &Configuration, profile: &str) -> Costs {
    let basis = Basis::of(configuration);
    let (joules, speed) = basis.figures();
    let energy = megajoule(cost, configuration)
        .and_then(|price| Ok(figure(configuration, joules)?.times(price)));
    let hardware = hardware(cost, configuration, profile, speed);
    let between_uses = between_uses(cost, configuration, speed);
    Costs {
        basis,
        total: total([energy, between_uses, hardware]),
        energy,
        between_uses,
        hardware,
    }
}

fn hardware(cost: &Cost, configuration: &Configuration, profile: &str, speed: &str) -> Known {
    let device = configuration.text(Dimension::Board);
    let hardware = cost.hardware_of(&device, profile);
    let price = hardware.ok_or(Missing::NotStated("cost.hardware"))?.price;
    let life = cost.life.as_ref().ok_or(Missing::NotStated("cost.life"))?;
    let used = cost.utilisation.as_ref();
    let used = used.ok_or(Missing::NotStated("cost.utilisation"))?.share;
    let a_second = price / (life.years * YEAR_S * used);
    Ok(figure(configuration, speed)?.under(a_second * 1e6))
}

fn between_uses(cost: &Cost, configuration: &Configuration, speed: &str) -> Known {
    let used = cost.utilisation.as_ref();
    let used = used.ok_or(Missing::NotStated("cost.utilisation"))?;
    match used.between_uses {
        None => Err(Missing::NotStated("cost.utilisation.between_uses")),
        Some(BetweenUses::Off) => Ok(Amount {
            value: 0.0,
            u95: Some(0.0),
        }),
        Some(BetweenUses::Idle) => {
            let price = megajoule(cost, configuration)?;
            let watts = figure(configuration, "idle_power_w")?;
            let seconds = figure(configuration, speed)?.under((1.0 - used.share) / used.share);
            Ok(watts.product(seconds).times(price))
        }
    }
}

/// The sum of what is stated. A part that is stated and was not measured leaves no sum.
fn total(parts: [Known; 3]) -> Known {
    let stated = |part: &Known| !matches!(part, Err(Missing::NotStated(_)));
    let first = parts[0];
    let mut stated = parts.into_iter().filter(stated);
    let Some(one) = stated.next() else {
        return first;
    };
    stated.try_fold(one?, |sum, part| Ok(sum.plus(part?)))
}

/// What an API charges for a million output tokens and the prompts that they answer.
pub fn charge(api: &Api, configuration: &Configuration, basis: Basis) -> Option<f64> {
    match basis {
        Basis::Decode => Some(api.output_per_million),
        Basis::Request => {
            let prompt = configuration.named("prompt_tokens_per_output_token");
            let input_a_token = prompt.as_ref().ok()?.value.mean;
            Some(api.output_per_million + api.input_per_million * input_a_token)
        }
    }
}
