//! Power modes of a Jetson, through NVIDIA's `nvpmodel`: the modes stand in its configuration,
//! `nvpmodel -q` tells the present one, `nvpmodel -m ID` changes it.
//!
//! For some changes it asks whether to restart the board, and changes nothing where the answer
//! is not yes (transcripts of Orin boards in public repositories). Here nobody answers.

use super::protocol::{Mode, Refusal, RefusalCode};
use crate::board::{PowerMode, command};
use std::path::PathBuf;
use std::time::Duration;

/// Some modes switch CPUs off and on, one after the other.
const SWITCHES_WITHIN: Duration = Duration::from_secs(20);
/// It reads two files.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Boards have four to ten.
const MOST_MODES: usize = 64;
const LONGEST_NAME: usize = 64;

#[derive(Debug)]
pub struct Nvpmodel {
    program: PathBuf,
    configuration: PathBuf,
}

impl Nvpmodel {
    pub fn new(program: PathBuf, configuration: PathBuf) -> Self {
        Self {
            program,
            configuration,
        }
    }

    /// None where the board is no Jetson.
    pub fn modes(&self) -> Vec<Mode> {
        let there = self.program.is_file();
        let text = std::fs::read(&self.configuration).unwrap_or_default();
        match there {
            true => modes_in(&String::from_utf8_lossy(&text)),
            false => Vec::new(),
        }
    }

    /// Whether the mode could be asked for.
    pub fn check(&self, id: u32) -> Result<(), Refusal> {
        let modes = self.modes();
        if modes.is_empty() {
            let message = "this board has no nvpmodel, or no mode in its configuration";
            return Err(Refusal::new(RefusalCode::NotSupported, message));
        }
        match modes.iter().any(|mode| mode.id == id) {
            true => Ok(()),
            false => Err(Refusal::new(
                RefusalCode::UnknownMode,
                format!("nvpmodel has no power mode {id}"),
            )),
        }
    }

    /// The id of the mode in force.
    pub fn current(&self) -> Result<u32, Refusal> {
        let failed = |message: String| Refusal::new(RefusalCode::Failed, message);
        let said = command::said(&self.command(&["-q"]), ANSWERS_WITHIN).map_err(|error| {
            eprintln!("{error}");
            failed("nvpmodel -q can't be run or gives no answer".to_owned())
        })?;
        let mode = PowerMode::parse(&said.text).and_then(|mode| mode.id);
        mode.ok_or_else(|| failed("nvpmodel -q names no mode".to_owned()))
    }

    /// Changes the mode, and returns once it is in force.
    pub fn switch(&self, id: u32) -> Result<(), Refusal> {
        if self.current()? == id {
            return Ok(());
        }
        let said = command::said(&self.command(&["-m", &id.to_string()]), SWITCHES_WITHIN)
            .map_err(|error| {
                eprintln!("{error}");
                let message = format!("nvpmodel -m {id} can't be run or does not end");
                Refusal::new(RefusalCode::Failed, message)
            })?;
        if said.text.to_ascii_lowercase().contains("reboot") {
            let message = format!(
                "power mode {id} takes a restart of the board; set it by hand (nvpmodel -m {id}) \
                 before the job"
            );
            return Err(Refusal::new(RefusalCode::NeedsReboot, message));
        }
        if !said.status.success() {
            let message = format!("nvpmodel -m {id}: {}", said.status);
            return Err(Refusal::new(RefusalCode::Failed, message));
        }
        match self.current()? {
            is if is == id => Ok(()),
            is => Err(Refusal::new(
                RefusalCode::DidNotTake,
                format!("power mode {id} was set and {is} is in force"),
            )),
        }
    }

    fn command(&self, arguments: &[&str]) -> Vec<String> {
        let program = self.program.to_string_lossy().into_owned();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        std::iter::once(program).chain(arguments).collect()
    }
}

/// The modes of an nvpmodel.conf: `< POWER_MODEL ID=1 NAME=25W >`, one a line.
pub fn modes_in(configuration: &str) -> Vec<Mode> {
    let mode = |line: &str| {
        let inner = line.trim().strip_prefix('<')?.strip_suffix('>')?;
        let mut words = inner.split_whitespace();
        if words.next()? != "POWER_MODEL" {
            return None;
        }
        let (mut id, mut name) = (None, None);
        for word in words {
            match word.split_once('=')? {
                ("ID", value) => id = value.parse().ok(),
                ("NAME", value) => name = Some(value),
                _ => {}
            }
        }
        let name = name.filter(|name| name.len() <= LONGEST_NAME && !name.is_empty())?;
        let printable = name.chars().all(|c| c.is_ascii_graphic());
        let name = printable.then(|| name.to_owned())?;
        Some(Mode { id: id?, name })
    };
    let mut modes: Vec<Mode> = Vec::new();
    for mode in configuration.lines().filter_map(mode).take(MOST_MODES) {
        if modes.iter().all(|other| other.id != mode.id) {
            modes.push(mode);
        }
    }
    modes
}

#[cfg(test)]
mod tests {
    use super::super::testing::Board;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn modes_are_those_of_the_configuration() {
        let board = Board::with_nvpmodel();
        let modes = board.nvpmodel().modes();
        let names: Vec<(u32, &str)> = modes.iter().map(|m| (m.id, m.name.as_str())).collect();
        assert_eq!(
            names,
            [(0, "15W"), (1, "25W"), (2, "7W"), (3, "MAXN_SUPER")]
        );
        assert!(Board::with_two_clusters().nvpmodel().modes().is_empty());
        for line in [
            "<POWER_MODEL ID=0>",
            "< POWER_MODEL NAME=MAXN >",
            "< POWER_MODEL ID=-1 NAME=MAXN >",
            "# < POWER_MODEL ID=0 NAME=MAXN >",
            "< POWER_MODEL ID=0 NAME= >",
        ] {
            assert_eq!(modes_in(line), [], "{line}");
        }
        let twice = "< POWER_MODEL ID=0 NAME=A >\n< POWER_MODEL ID=0 NAME=B >";
        assert_eq!(modes_in(twice).len(), 1);
    }

    #[test]
    fn a_mode_is_in_force_or_refused() {
        let board = Board::with_nvpmodel();
        let nvpmodel = board.nvpmodel();
        assert_eq!(nvpmodel.current(), Ok(1));
        nvpmodel.switch(0).unwrap();
        assert_eq!(board.mode(), "0");
        let code = |id| nvpmodel.switch(id).unwrap_err().code;
        assert_eq!(code(2), RefusalCode::NeedsReboot);
        assert_eq!(code(3), RefusalCode::DidNotTake);
        assert_eq!(
            nvpmodel.check(9).unwrap_err().code,
            RefusalCode::UnknownMode
        );
        assert_eq!(board.mode(), "0");
    }

    #[test]
    fn a_mode_that_is_in_force_already_is_left_alone() {
        let board = Board::with_nvpmodel();
        board.nvpmodel().switch(1).unwrap();
        assert!(!board.path("asked").exists());
    }

    #[test]
    fn an_nvpmodel_that_does_nothing_is_told_without_its_path() {
        let board = Board::with_nvpmodel();
        std::fs::remove_file(board.path("nvpmodel")).unwrap();
        std::os::unix::fs::symlink("/bin/false", board.path("nvpmodel")).unwrap();
        let refusal = board.nvpmodel().switch(0).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::Failed);
        assert!(!refusal.message.contains('/'), "{refusal}");
    }

    proptest! {
        #[test]
        fn any_text_has_modes_with_different_numbers(text in "(< POWER_MODEL (ID=[0-9-]{0,3} ?|NAME=\\PC{0,4} ?){0,3}>\n?){0,5}") {
            let modes = modes_in(&text);
            let ids: std::collections::BTreeSet<u32> = modes.iter().map(|mode| mode.id).collect();
            prop_assert_eq!(ids.len(), modes.len());
        }
    }
}
