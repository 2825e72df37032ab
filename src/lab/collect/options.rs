//! The command line of `joulectl collect`.

use super::SHORTEST_SESSION;
use crate::lab::LabError;
use crate::lab::dataset::Format;
use crate::lab::target::Target;
use crate::units::Span;
use jiff::{SpanRelativeTo, Unit};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The dataset's folder, made where there is none
    #[arg(long, short, value_name = "DIR", default_value = "dataset")]
    pub out: PathBuf,
    /// What the dataset is made of
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    pub format: Format,
    /// How often a part is written; until then records wait in DIR/.collect, safe from crashes
    #[arg(long, value_name = "TIME", default_value = "10min")]
    pub roll: String,
    /// Write a part also when this much has come
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub roll_size: String,
    /// Share the boards' records with the other collectors of this GROUP
    #[arg(long, value_name = "GROUP")]
    pub share: Option<String>,
    /// Tells apart collectors of one dataset; the broker keeps what one missed under its name
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub name: String,
    /// How long the broker keeps what arrives while this collector is away
    #[arg(long, value_name = "TIME", default_value = "1d")]
    pub session: String,
    /// How long missing records may be on their way before the board is asked for them
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub grace: String,
    /// End after this time
    #[arg(long = "for", value_name = "TIME")]
    pub runs_for: Option<String>,
    /// End when no record of a job came for this time, no job runs, and nothing is missing of
    /// the boards that are online
    #[arg(long, value_name = "TIME")]
    pub until_idle: Option<String>,
    /// Print what happens, and the counts at the end, as JSON lines
    #[arg(long)]
    pub json: bool,
}

/// The options, understood.
#[derive(Debug)]
pub(super) struct Wishes {
    pub devices: Vec<String>,
    pub roll: Span,
    pub roll_bytes: u64,
    pub session: Duration,
    pub grace: Span,
    pub runs_for: Option<Duration>,
    pub until_idle: Option<Span>,
}

impl Options {
    pub(super) fn wishes(&self, target: &Target) -> Result<Wishes, LabError> {
        let devices = target.device.iter().flat_map(|names| names.split(','));
        let devices: Vec<String> = devices.map(|name| name.trim().to_owned()).collect();
        for name in &devices {
            plain("--device", name, |b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
            })?;
        }
        for (option, name) in [
            ("--name", Some(&self.name)),
            ("--share", self.share.as_ref()),
        ] {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if let Some(name) = name {
                plain(option, name, fine)?;
            }
        }
        let optional = |option, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| time(option, text)).transpose()
        };
        Ok(Wishes {
            devices,
            roll: span(time("--roll", &self.roll)?),
            roll_bytes: size("--roll-size", &self.roll_size)?,
            session: time("--session", &self.session)?.max(SHORTEST_SESSION),
            grace: span(time("--grace", &self.grace)?),
            runs_for: optional("--for", &self.runs_for)?,
            until_idle: optional("--until-idle", &self.until_idle)?.map(span),
        })
    }
}

/// Names become parts of topics and file names.
fn plain(option: &str, name: &str, fine: impl Fn(u8) -> bool) -> Result<(), LabError> {
    if (1..=63).contains(&name.len()) && name.bytes().all(fine) {
        return Ok(());
    }
    Err(LabError::Usage(format!(
        "{option} {name}: a name has 1 to 63 letters, digits and hyphens{}",
        match option {
            "--device" => ", all lower case; several are separated by commas",
            _ => "",
        }
    )))
}

fn span(time: Duration) -> Span {
    Span(time.as_nanos().try_into().unwrap_or(u64::MAX / 2))
}

/// Such as `90s`, `10min`, `1d 12h`; a plain number is seconds.
pub(in crate::lab) fn time(option: &str, text: &str) -> Result<Duration, LabError> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let days = SpanRelativeTo::days_are_24_hours();
    let seconds = text
        .parse::<jiff::Span>()
        .and_then(|span| span.total((Unit::Second, days)));
    match seconds {
        Ok(seconds) if (0.0..4e9).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(LabError::Usage(format!(
            "{option} {text}: not a time such as 30s, 10min, 2h or 1d"
        ))),
    }
}

fn size(option: &str, text: &str) -> Result<u64, LabError> {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let size = units.into_iter().find_map(|(unit, shift)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
    });
    size.ok_or_else(|| {
        LabError::Usage(format!(
            "{option} {text}: not a size such as 512KiB, 64MiB or 1GiB"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        target: Target,
    }

    fn wishes(words: &[&str]) -> Result<Wishes, LabError> {
        let line = Line::try_parse_from([&["collect"], words].concat()).unwrap();
        line.options.wishes(&line.target)
    }

    #[test]
    fn times_and_sizes_have_units() {
        let wishes = wishes(&["--roll", "90s", "--for", "1d 12h", "--until-idle", "5"]).unwrap();
        assert_eq!(wishes.roll, Span::from_millis(90_000));
        assert_eq!(wishes.runs_for, Some(Duration::from_secs(36 * 3600)));
        assert_eq!(wishes.until_idle, Some(Span::from_millis(5_000)));
        assert_eq!(wishes.roll_bytes, 64 << 20);
        assert_eq!(wishes.session, Duration::from_secs(86_400));
    }

    #[test]
    fn several_boards_are_separated_by_commas() {
        assert!(wishes(&[]).unwrap().devices.is_empty());
        let wishes = wishes(&["--device", "pi5-01, pi5-02"]).unwrap();
        assert_eq!(wishes.devices, ["pi5-01", "pi5-02"]);
    }

    #[test]
    fn what_is_no_name_or_time_is_a_usage_error() {
        for words in [
            ["--device", "pi5/+"],
            ["--device", ""],
            ["--name", "../x"],
            ["--share", "a/b"],
            ["--roll", "soon"],
            ["--roll", "-1s"],
            ["--for", "1 mile"],
            ["--roll-size", "0MiB"],
            ["--roll-size", "64"],
        ] {
            let joined = format!("{}={}", words[0], words[1]);
            let error = wishes(&[&joined]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words:?}");
            assert!(error.to_string().contains(words[0]), "{error}");
        }
    }
}
