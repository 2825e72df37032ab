//! How a figure of a result record is named.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    Summary(String),
    Rep(u32, String),
    /// `prefill` or `decode` of a repetition.
    Phase(u32, String, String),
    Total(String),
    /// `before` or `after`.
    Idle(String),
    Load,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Summary(name) => write!(f, "summary.{name}"),
            Self::Rep(rep, name) => write!(f, "reps.{rep}.{name}"),
            Self::Phase(rep, phase, name) => write!(f, "reps.{rep}.{phase}.{name}"),
            Self::Total(rail) => write!(f, "total.{rail}"),
            Self::Idle(when) => write!(f, "idle.{when}"),
            Self::Load => f.write_str("load"),
        }
    }
}

impl Path {
    /// Parses what a user wrote; `None` where it can't be a figure's path.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.split_once('.').unwrap_or((text, ""));
        match (head, rest) {
            ("load", "" | "energy_j") => Some(Self::Load),
            ("summary", name) if !name.is_empty() => Some(Self::Summary(name.to_owned())),
            // A rail's name may have dots.
            ("total", rail) if !rail.is_empty() => Some(Self::Total(rail.to_owned())),
            ("idle", when) => {
                let when = when.strip_suffix(".power_w").unwrap_or(when);
                matches!(when, "before" | "after").then(|| Self::Idle(when.to_owned()))
            }
            ("reps", rest) => {
                let (rep, name) = rest.split_once('.')?;
                let rep = rep.parse().ok()?;
                match name.split_once('.') {
                    Some((phase @ ("prefill" | "decode"), name)) => {
                        Some(Self::Phase(rep, phase.to_owned(), name.to_owned()))
                    }
                    Some(_) => None,
                    None => Some(Self::Rep(rep, name.to_owned())),
                }
            }
            (name, "") if !name.is_empty() => Some(Self::Summary(name.to_owned())),
            _ => None,
        }
    }

    /// The unit of the figure.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Total(_) | Self::Load => "J",
            Self::Idle(_) => "W",
            Self::Summary(name) | Self::Rep(_, name) | Self::Phase(_, _, name) => unit(name),
        }
    }
}

fn unit(name: &str) -> &'static str {
    match name {
        "tok_per_j" => "tok/J",
        "mwh_per_token" => "mWh",
        "edp" => "J·s",
        "s_t" => "J·s/token²",
        "mbu" | "u_sys_rel" => "",
        _ if name.ends_with("tok_s") => "tok/s",
        _ if name.ends_with("_s") => "s",
        _ => "J",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_in_the_record() {
        for text in [
            "summary.j_per_output_token",
            "reps.2.decode.energy_j",
            "reps.1.j_per_prompt_token_net",
            "total.input.vdd_in",
            "idle.before",
            "load",
        ] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Path::parse("ttft_s"),
            Some(Path::Summary("ttft_s".to_owned()))
        );
        for text in [
            "",
            "reps",
            "reps.x.tpot_s",
            "reps.1.depth.energy_j",
            "idle.x",
            "a.b",
        ] {
            assert_eq!(Path::parse(text), None, "{text}");
        }
    }
}
