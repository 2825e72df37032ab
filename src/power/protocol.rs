//! What the daemon and `jouled-power` say to each other: one line of JSON each way, over a Unix
//! socket. Requests are a closed set of numbers and names that the board itself has listed;
//! whatever else comes is refused, and nothing of it is run, opened or repeated.
//!
//! A reply's message may leave the board in a job's reason: it names no path.

use crate::strict_json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read};

/// A request is a hundred bytes; an offer of all the modes and frequencies of a board some
/// thousand.
pub const LONGEST_LINE: usize = 16 * 1024;

/// CPUFREQ_NAME_LEN of the kernel is 16.
const LONGEST_NAME: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// What may be asked for.
    Offer {},
    /// Sets all of it, or nothing, until this connection ends.
    Apply(Wanted),
    /// Puts back what was in force before, and says whether that worked.
    Restore {},
}

/// What is to be in force; `None` leaves it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// By nvpmodel's number.
    pub power_mode: Option<u32>,
    pub governor: Option<String>,
    pub max_freq_khz: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Reply {
    Offer(Offer),
    Applied,
    Restored,
    Refused(Refusal),
}

/// What this board can be set to. Empty: it has no such thing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// Of nvpmodel, in the order of its configuration.
    pub power_modes: Vec<Mode>,
    /// That all CPUs have.
    pub governors: Vec<String>,
    /// `null`: the clocks of the CPUs can't be capped.
    pub freq: Option<FreqRange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mode {
    pub id: u32,
    pub name: String,
}

/// Caps of the CPUs' clocks. Within it the kernel may know certain steps alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FreqRange {
    /// The highest of the CPUs' lowest clocks: a cap below it would not hold for all.
    pub min_khz: u32,
    /// The highest clock of any CPU.
    pub max_khz: u32,
    /// Clocks of any CPU, where the driver lists them.
    pub steps_khz: Vec<u32>,
}

/// Why nothing was set: after it the board is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// No request of this protocol.
    Malformed,
    /// Another connection has set something, or heat limits the clocks.
    Busy,
    /// This board has nothing of the kind to set.
    NotSupported,
    UnknownMode,
    UnknownGovernor,
    OutOfRange,
    /// It would only be in force after a restart of the board.
    NeedsReboot,
    /// It was set and something else is in force.
    DidNotTake,
    /// The kernel or nvpmodel took it not.
    Failed,
    /// What was in force before an earlier change could not be put back.
    NotRestored,
}

impl RefusalCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Busy => "busy",
            Self::NotSupported => "not-supported",
            Self::UnknownMode => "unknown-mode",
            Self::UnknownGovernor => "unknown-governor",
            Self::OutOfRange => "out-of-range",
            Self::NeedsReboot => "needs-reboot",
            Self::DidNotTake => "did-not-take",
            Self::Failed => "failed",
            Self::NotRestored => "not-restored",
        }
    }
}

impl Refusal {
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    fn malformed(message: &str) -> Self {
        Self::new(RefusalCode::Malformed, message)
    }
}

impl Wanted {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Request {
    /// Reads one line, without its end. Nothing of it is in the refusal.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let request: Self =
            strict_json::read(line).map_err(|_| Refusal::malformed("this is no request"))?;
        match &request {
            Self::Apply(wanted) if wanted.is_empty() => {
                Err(Refusal::malformed("nothing is to be set"))
            }
            Self::Apply(Wanted {
                governor: Some(name),
                ..
            }) if !is_name(name) => Err(Refusal::malformed("the governor's name can be none")),
            _ => Ok(request),
        }
    }
}

/// Whether `name` can be one of a governor or of one of its tunables: it is a file of sysfs.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain)
}

/// `message` as a line.
pub fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("a message has only JSON-able fields");
    line.push(b'\n');
    line
}

/// The next line without its end; `None` when the other side has closed.
///
/// Errors: it is longer than [`LONGEST_LINE`], or cut off.
pub fn read_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.by_ref()
        .take(LONGEST_LINE as u64)
        .read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() + 1 < LONGEST_LINE => Err(io::ErrorKind::UnexpectedEof.into()),
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(line: &str) -> RefusalCode {
        Request::parse(line.as_bytes()).expect_err(line).code
    }

    #[test]
    fn the_set_is_closed() {
        let parse = |line: &str| Request::parse(line.as_bytes());
        assert_eq!(parse(r#"{"do":"offer"}"#), Ok(Request::Offer {}));
        assert_eq!(parse(r#"{"do":"restore"}"#), Ok(Request::Restore {}));
        let wanted = Wanted {
            power_mode: Some(2),
            governor: Some("performance".to_owned()),
            max_freq_khz: Some(1_500_000),
        };
        let line =
            r#"{"do":"apply","power_mode":2,"governor":"performance","max_freq_khz":1500000}"#;
        assert_eq!(parse(line), Ok(Request::Apply(wanted)));
        for line in [
            "",
            "offer",
            "[\"offer\"]",
            r#"{"do":"reboot"}"#,
            r#"{"do":"apply"}"#,
            r#"{"do":"apply","power_mode":null}"#,
            r#"{"do":"apply","power_mode":"2"}"#,
            r#"{"do":"apply","power_mode":-1}"#,
            r#"{"do":"apply","power_mode":2,"power_mode":3}"#,
            r#"{"do":"apply","max_freq_khz":1e99}"#,
            r#"{"do":"apply","governor":""}"#,
            r#"{"do":"apply","governor":"../../../etc/passwd"}"#,
            r#"{"do":"apply","governor":"a b"}"#,
            r#"{"do":"apply","governor":"performance","path":"/etc"}"#,
            r#"{"do":"apply","governor":"performance"} {"do":"offer"}"#,
        ] {
            assert_eq!(code(line), RefusalCode::Malformed, "{line}");
        }
    }

    #[test]
    fn a_line_has_an_end_and_a_limit() {
        let read = |bytes: &[u8]| read_line(&mut io::BufReader::new(bytes));
        assert_eq!(read(b"").unwrap(), None);
        assert_eq!(read(b"a\nb").unwrap().as_deref(), Some(b"a".as_slice()));
        let kind = |bytes: &[u8]| read(bytes).unwrap_err().kind();
        assert_eq!(kind(b"{\"do\""), io::ErrorKind::UnexpectedEof);
        assert_eq!(
            kind(&vec![b'x'; LONGEST_LINE * 2]),
            io::ErrorKind::InvalidData
        );
    }

    fn wanted() -> impl Strategy<Value = Wanted> {
        let name = proptest::option::of("[a-z_-]{1,32}");
        let number = proptest::option::of(any::<u32>());
        (number.clone(), name, number).prop_map(|(power_mode, governor, max_freq_khz)| Wanted {
            power_mode,
            governor,
            max_freq_khz,
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_refused(bytes: Vec<u8>) {
            if let Ok(Request::Apply(wanted)) = Request::parse(&bytes) {
                prop_assert!(wanted.governor.is_none_or(|name| is_name(&name)));
            }
        }

        #[test]
        fn what_is_sent_is_what_is_read(wanted in wanted()) {
            prop_assume!(!wanted.is_empty());
            let request = Request::Apply(wanted);
            let bytes = line(&request);
            let read = read_line(&mut bytes.as_slice()).unwrap().unwrap();
            prop_assert_eq!(Request::parse(&read), Ok(request));
        }
    }
}
