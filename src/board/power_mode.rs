//! The power mode of a Jetson, as `nvpmodel -q` prints it: `NV Power Mode: 25W`, then the
//! mode's id on a line of its own. Ids differ from module to module and from release to
//! release, and a name's watts cap clocks, not power: a record has both.

use super::command;
use super::profile::PowerModes;
use std::time::Duration;

/// It reads two files; on a busy board that takes some tens of milliseconds.
const WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerMode {
    pub name: String,
    pub id: Option<u32>,
}

impl PowerMode {
    /// Runs the profile's command. Errors are sentences.
    pub fn read(modes: &PowerModes) -> Result<Self, String> {
        let printed = command::output(&modes.command, WITHIN)?;
        Self::parse(&printed)
            .ok_or_else(|| format!("{} names no power mode", modes.command.join(" ")))
    }

    pub(crate) fn parse(printed: &str) -> Option<Self> {
        let mut lines = printed.lines();
        // With --verbose something stands before it.
        let name = lines
            .find_map(|line| line.split_once("NV Power Mode:"))?
            .1
            .trim();
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: lines.find_map(|line| line.trim().parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mode(name: &str, id: Option<u32>) -> Option<PowerMode> {
        let name = name.to_owned();
        Some(PowerMode { name, id })
    }

    #[test]
    fn name_and_id_are_read() {
        let parse = PowerMode::parse;
        assert_eq!(
            parse("NV Power Mode: MAXN_SUPER\n2\n"),
            mode("MAXN_SUPER", Some(2))
        );
        assert_eq!(
            parse("NV Fan Mode:quiet\nNV Power Mode: 25W\n1\n"),
            mode("25W", Some(1))
        );
        let verbose = "NVPM VERB: Current mode: NV Power Mode: MODE_15W_6CORE\n2\n";
        assert_eq!(parse(verbose), mode("MODE_15W_6CORE", Some(2)));
        assert_eq!(parse("NV Power Mode: 15W\n"), mode("15W", None));
        assert_eq!(parse("NV Power Mode: \n0\n"), None);
        assert_eq!(parse("nvpmodel: command not found\n"), None);
    }

    #[test]
    fn a_command_that_fails_is_a_reason() {
        let modes = |script: &str| PowerModes {
            command: ["sh", "-c", script].map(str::to_owned).into(),
            mode: Vec::new(),
            source: None,
            status: Default::default(),
        };
        let read = |script| PowerMode::read(&modes(script));
        assert_eq!(
            read("echo 'NV Power Mode: MAXN'; echo 0").ok(),
            mode("MAXN", Some(0))
        );
        assert!(read("echo").unwrap_err().contains("names no power mode"));
        assert!(read("exit 1").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_mode_or_none(text in "\\PC*") {
            let _ = PowerMode::parse(&text);
        }
    }
}
