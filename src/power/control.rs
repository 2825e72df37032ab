//! Sets what is wanted, all of it or nothing, and puts back what was in force before.

use super::cpufreq::Cpufreq;
use super::kept::{Before, Kept};
use super::nvpmodel::Nvpmodel;
use super::policy::PolicySetting;
use super::protocol::{Offer, Refusal, RefusalCode, Wanted};
use std::io;

#[derive(Debug)]
pub struct Control {
    cpufreq: Cpufreq,
    nvpmodel: Nvpmodel,
    kept: Kept,
}

impl Control {
    pub fn new(cpufreq: Cpufreq, nvpmodel: Nvpmodel, kept: Kept) -> Self {
        Self {
            cpufreq,
            nvpmodel,
            kept,
        }
    }

    /// What may be asked for.
    pub fn offer(&self) -> Offer {
        Offer {
            power_modes: self.nvpmodel.modes(),
            governors: self.cpufreq.governors(),
            freq: self.cpufreq.range(),
        }
    }

    /// Returns once all that is wanted is in force, as the board itself says.
    ///
    /// Errors: nothing is changed, unless the message says that it could not be put back.
    pub fn apply(&self, wanted: &Wanted) -> Result<(), Refusal> {
        // What a killed predecessor left behind is nothing to come back to.
        self.restore()?;
        if let Some(id) = wanted.power_mode {
            self.nvpmodel.check(id)?;
        }
        if let Some(governor) = &wanted.governor {
            self.cpufreq.check_governor(governor)?;
        }
        let before = self.before(wanted)?;
        self.keep(&before)?;
        let set = self.set(wanted, before);
        set.map_err(|refusal| match self.restore() {
            Ok(()) => refusal,
            Err(left) => Refusal {
                message: format!("{refusal}; and it is not as before: {left}"),
                ..refusal
            },
        })
    }

    /// What is in force, of what would change.
    fn before(&self, wanted: &Wanted) -> Result<Before, Refusal> {
        let power_mode = match wanted.power_mode {
            Some(_) => Some(self.nvpmodel.current()?),
            None => None,
        };
        if power_mode.is_some() || wanted.max_freq_khz.is_some() {
            self.cpufreq.check_heat()?;
            return Ok(Before::new(power_mode, self.cpufreq.settings()?));
        }
        let policies = self.cpufreq.settings()?.into_iter();
        let policies = policies.map(PolicySetting::without_limits).collect();
        Ok(Before::new(None, policies))
    }

    fn keep(&self, before: &Before) -> Result<(), Refusal> {
        self.kept.write(before).map_err(|error| {
            let message = format!("what is in force can't be written down: {}", error.kind());
            Refusal::new(RefusalCode::Failed, message)
        })
    }

    /// A power mode comes with caps of its own, so it goes first.
    fn set(&self, wanted: &Wanted, before: Before) -> Result<(), Refusal> {
        if let Some(id) = wanted.power_mode {
            self.nvpmodel.switch(id)?;
            self.keep_what_came(before)?;
        }
        if let Some(governor) = &wanted.governor {
            self.cpufreq.set_governor(governor)?;
        }
        if let Some(khz) = wanted.max_freq_khz {
            self.cpufreq.check_cap(khz)?;
            self.cpufreq.set_cap(khz)?;
        }
        Ok(())
    }

    /// CPUs that are online in the mode alone would keep what is set now for the next time.
    fn keep_what_came(&self, mut before: Before) -> Result<(), Refusal> {
        let known = |is: &PolicySetting| before.policies.iter().any(|was| was.policy == is.policy);
        let mut now = self.cpufreq.settings()?;
        now.retain(|is| !known(is));
        match now.is_empty() {
            true => Ok(()),
            false => {
                before.came_online = now;
                self.keep(&before)
            }
        }
    }

    /// Whether something is still to be put back; also where that can't be read.
    pub fn owes(&self) -> bool {
        !matches!(self.kept.read(), Ok(None))
    }

    /// Puts back what was in force before the first change, if there was one. What can't be is
    /// kept for the next try.
    pub fn restore(&self) -> Result<(), Refusal> {
        let failed = |what: &str, error: &io::Error| {
            let message = format!("what was in force before {what}: {error}");
            Refusal::new(RefusalCode::NotRestored, message)
        };
        let before = self
            .kept
            .read()
            .map_err(|error| failed("can't be read", &error))?;
        let Some(mut before) = before else {
            return Ok(());
        };
        let not_restored = |refusal: Refusal| Refusal {
            code: RefusalCode::NotRestored,
            ..refusal
        };
        // They go with the mode, so they are first.
        let came = self.cpufreq.restore(&before.came_online);
        if came.is_ok() && !std::mem::take(&mut before.came_online).is_empty() {
            // For a next try, which finds them gone. If this is not noted, it says so then.
            if let Err(error) = self.kept.write(&before) {
                eprintln!("what is back can't be noted: {error}");
            }
        }
        let mode = match before.power_mode {
            Some(id) => self.nvpmodel.switch(id),
            None => Ok(()),
        };
        // With a mode CPUs come and go: clocks after it.
        let clocks = self.cpufreq.restore(&before.policies);
        came.and(mode).and(clocks).map_err(not_restored)?;
        self.kept
            .forget()
            .map_err(|error| failed("is still noted", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Board;
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            power_mode: Some(0),
            governor: Some("performance".to_owned()),
            max_freq_khz: Some(1_200_000),
        }
    }

    #[test]
    fn all_of_it_is_in_force_and_comes_back() {
        let board = Board::with_nvpmodel();
        let control = board.control();
        let before = board.cpufreq().settings().unwrap();
        control.apply(&wanted()).unwrap();
        assert_eq!(board.mode(), "0");
        for policy in ["policy0", "policy4"] {
            let read = |file: &str| board.read(&format!("{policy}/{file}"));
            assert_eq!(read("scaling_governor"), "performance");
            assert_eq!(read("scaling_max_freq"), "1200000");
        }
        assert!(control.owes());
        // Another process, after a kill -9 of the first.
        board.control().restore().unwrap();
        assert_eq!((board.mode().as_str(), control.owes()), ("1", false));
        assert_eq!(board.cpufreq().settings().unwrap(), before);
        control.restore().unwrap();
    }

    #[test]
    fn cpus_that_are_online_in_the_mode_alone_are_put_back_before_they_go() {
        let board = Board::with_nvpmodel();
        board.control().apply(&wanted()).unwrap();
        assert_eq!(board.read("policy6/scaling_governor"), "performance");
        assert_eq!(board.read("policy6/scaling_max_freq"), "1200000");
        // Another process, after a kill -9 of the first, and the mode doesn't come back at once.
        std::fs::rename(board.path("nvpmodel"), board.path("gone")).unwrap();
        board.control().restore().unwrap_err();
        std::fs::rename(board.path("gone"), board.path("nvpmodel")).unwrap();
        board.control().restore().unwrap();
        assert_eq!(board.read("policy6/affected_cpus"), "");
        assert_eq!(board.read("policy6/last_governor"), "schedutil");
        assert_eq!(board.read("policy6/scaling_max_freq"), "2200000");
    }

    #[test]
    fn cpus_that_went_with_the_setting_of_a_job_are_told() {
        let board = Board::with_nvpmodel();
        board.control().apply(&wanted()).unwrap();
        // Somebody switches the mode by hand.
        board.nvpmodel().switch(1).unwrap();
        let refusal = board.control().restore().unwrap_err();
        assert_eq!(refusal.code, RefusalCode::NotRestored);
        assert!(refusal.message.contains("policy6 is offline"), "{refusal}");
        assert!(board.control().owes());
        assert_eq!(board.read("policy4/scaling_governor"), "schedutil");
        board.nvpmodel().switch(0).unwrap();
        board.control().restore().unwrap();
        assert_eq!(board.read("policy6/last_governor"), "schedutil");
    }

    #[test]
    fn one_wrong_part_changes_nothing() {
        let board = Board::with_nvpmodel();
        let before = board.cpufreq().settings().unwrap();
        let refused = |change: &dyn Fn(&mut Wanted)| {
            let mut wanted = wanted();
            change(&mut wanted);
            let refusal = board.control().apply(&wanted).unwrap_err();
            assert!(!refusal.message.contains('/'), "a path leaves: {refusal}");
            assert_eq!(board.mode(), "1");
            assert_eq!(board.cpufreq().settings().unwrap(), before);
            assert!(!board.control().owes());
            refusal.code
        };
        assert_eq!(
            refused(&|w| w.power_mode = Some(2)),
            RefusalCode::NeedsReboot
        );
        assert_eq!(
            refused(&|w| w.power_mode = Some(3)),
            RefusalCode::DidNotTake
        );
        assert_eq!(
            refused(&|w| w.power_mode = Some(7)),
            RefusalCode::UnknownMode
        );
        let turbo = |w: &mut Wanted| w.governor = Some("turbo".to_owned());
        assert_eq!(refused(&turbo), RefusalCode::UnknownGovernor);
        assert_eq!(
            refused(&|w| w.max_freq_khz = Some(9)),
            RefusalCode::OutOfRange
        );
        let high = |w: &mut Wanted| w.max_freq_khz = Some(2_400_001);
        assert_eq!(refused(&high), RefusalCode::OutOfRange);
    }

    #[test]
    fn heat_is_not_taken_for_the_administrator() {
        let board = Board::with_nvpmodel();
        board.heats("2");
        board.write("policy4/scaling_max_freq", "1200000");
        let governor = Wanted {
            governor: Some("performance".to_owned()),
            ..Wanted::default()
        };
        board.control().apply(&governor).unwrap();
        // It cools down while the job runs.
        board.heats("0");
        board.write("policy4/scaling_max_freq", "2400000");
        board.control().restore().unwrap();
        assert_eq!(board.read("policy4/scaling_governor"), "schedutil");
        assert_eq!(board.read("policy4/scaling_max_freq"), "2400000");
    }

    #[test]
    fn clocks_that_heat_limits_are_neither_capped_nor_put_in_a_mode() {
        let board = Board::with_nvpmodel();
        board.heats("1");
        let cap = Wanted {
            max_freq_khz: Some(1_200_000),
            ..Wanted::default()
        };
        let mode = Wanted {
            power_mode: Some(0),
            ..Wanted::default()
        };
        for wanted in [&cap, &mode] {
            let refusal = board.control().apply(wanted).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::Busy);
            assert!(refusal.message.contains("heat"), "{refusal}");
            assert!(!board.control().owes());
        }
        assert_eq!(board.mode(), "1");
        assert_eq!(board.read("policy4/scaling_max_freq"), "2400000");
        board.heats("0");
        board.control().apply(&cap).unwrap();
    }

    #[test]
    fn what_can_not_be_put_back_is_kept_and_keeps_others_out() {
        let board = Board::with_nvpmodel();
        board.control().apply(&wanted()).unwrap();
        std::fs::rename(board.path("nvpmodel"), board.path("gone")).unwrap();
        let refusal = board.control().restore().unwrap_err();
        assert_eq!(refusal.code, RefusalCode::NotRestored);
        // The clocks are back all the same.
        assert_eq!(board.read("policy0/scaling_governor"), "schedutil");
        let refusal = board.control().apply(&wanted()).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::NotRestored);
        std::fs::rename(board.path("gone"), board.path("nvpmodel")).unwrap();
        board.control().restore().unwrap();
        assert_eq!(
            (board.mode().as_str(), board.control().owes()),
            ("1", false)
        );
    }
}
