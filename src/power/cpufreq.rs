//! The CPUs' clocks, as the kernel's cpufreq shows and takes them (admin-guide/pm/cpufreq), in
//! kHz: a folder for each policy, the CPUs that share a clock.

use super::heat;
use super::policy::{Policy, PolicySetting};
use super::protocol::{FreqRange, Refusal, RefusalCode};
use super::settle::settle;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The CPUs' clocks below one sysfs.
#[derive(Debug)]
pub struct Cpufreq {
    sysfs: PathBuf,
    root: PathBuf,
}

impl Cpufreq {
    /// `sysfs` is /sys, or a copy of it.
    pub fn new(sysfs: &Path) -> Self {
        Self {
            sysfs: sysfs.to_owned(),
            root: sysfs.join("devices/system/cpu/cpufreq"),
        }
    }

    /// Governors that all CPUs have, in the order of the first ones.
    pub fn governors(&self) -> Vec<String> {
        let mut all = self.policies().into_iter().map(|policy| policy.governors());
        let mut common = all.next().unwrap_or_default();
        for other in all {
            common.retain(|name| other.contains(name));
        }
        common
    }

    /// `None` where the clocks can't be capped.
    pub fn range(&self) -> Option<FreqRange> {
        let policies = self.policies();
        let limits: Vec<(u32, u32)> = policies
            .iter()
            .map(|policy| {
                let min = policy.number("cpuinfo_min_freq")?;
                Ok((min, policy.number("cpuinfo_max_freq")?))
            })
            .collect::<io::Result<_>>()
            .ok()?;
        let steps = policies.iter().flat_map(Policy::steps);
        Some(FreqRange {
            min_khz: limits.iter().map(|(min, _)| *min).max()?,
            max_khz: limits.iter().map(|(_, max)| *max).max()?,
            steps_khz: steps.collect::<BTreeSet<u32>>().into_iter().collect(),
        })
    }

    /// What is in force now.
    pub fn settings(&self) -> Result<Vec<PolicySetting>, Refusal> {
        let policies = self.policies().into_iter();
        policies.map(|policy| policy.setting()).collect()
    }

    /// Whether the limits that are shown are those to come back to.
    pub fn check_heat(&self) -> Result<(), Refusal> {
        match heat::limits_clocks(&self.sysfs) {
            false => Ok(()),
            true => Err(Refusal::new(
                RefusalCode::Busy,
                "the kernel limits the CPUs' clocks for heat now; let the board cool down before \
                 a job with a power mode or a cap",
            )),
        }
    }

    /// Whether the governor could be set, before anything is.
    pub fn check_governor(&self, name: &str) -> Result<(), Refusal> {
        let known = self.governors();
        if known.is_empty() {
            let message = "this board's CPUs have no governors to choose from";
            return Err(Refusal::new(RefusalCode::NotSupported, message));
        }
        match known.iter().any(|governor| governor == name) {
            true => Ok(()),
            false => Err(Refusal::new(
                RefusalCode::UnknownGovernor,
                format!(
                    "not all CPUs have this governor; they have {}",
                    known.join(", ")
                ),
            )),
        }
    }

    pub fn set_governor(&self, name: &str) -> Result<(), Refusal> {
        for policy in self.policies() {
            policy.write("scaling_governor", name)?;
        }
        let holds = |policy: &Policy| policy.line("scaling_governor").is_ok_and(|is| is == name);
        self.all(holds, "the governor is not the one that was set")
    }

    /// Whether a cap is one for some CPU and can hold for all. It never raises what the
    /// administrator or the power mode allows.
    pub fn check_cap(&self, khz: u32) -> Result<(), Refusal> {
        let Some(range) = self.range() else {
            let message = "the clocks of this board's CPUs can't be capped";
            return Err(Refusal::new(RefusalCode::NotSupported, message));
        };
        let policies = self.policies().into_iter();
        let allowed = policies.map(|policy| policy.khz("scaling_max_freq"));
        let allowed = allowed.collect::<Result<Vec<u32>, Refusal>>()?;
        let most = allowed.into_iter().max().unwrap_or(range.max_khz);
        if !(range.min_khz..=most).contains(&khz) {
            let min = range.min_khz;
            let message = format!("a cap is {min} to {most} kHz here, as far as is allowed now");
            return Err(Refusal::new(RefusalCode::OutOfRange, message));
        }
        Ok(())
    }

    /// Caps every clock that may be higher. Clocks that are lower anyway stay as they are.
    pub fn set_cap(&self, khz: u32) -> Result<(), Refusal> {
        let mut expected = Vec::new();
        for policy in self.policies() {
            let max = policy.khz("scaling_max_freq")?;
            if max > khz {
                // Clocks that were fixed at their highest stay fixed, at the cap.
                if policy.khz("scaling_min_freq")? > khz {
                    policy.write("scaling_min_freq", &khz.to_string())?;
                }
                policy.write("scaling_max_freq", &khz.to_string())?;
            }
            expected.push((policy, max.min(khz)));
        }
        settle(|| {
            expected
                .iter()
                .all(|(policy, khz)| policy.is_capped_at(*khz))
        });
        for (policy, khz) in expected {
            let is = policy.khz("scaling_max_freq")?;
            if is != khz {
                let steps: Vec<String> = policy.steps().iter().map(u32::to_string).collect();
                let hint = match steps.is_empty() {
                    true => String::new(),
                    false => format!("; its steps are {}", steps.join(", ")),
                };
                let message = format!("{policy} is capped at {is} kHz, not at {khz}{hint}");
                return Err(Refusal::new(RefusalCode::DidNotTake, message));
            }
        }
        Ok(())
    }

    /// Puts back what was in force. Whatever can't be is left, and the first of it told.
    pub fn restore(&self, before: &[PolicySetting]) -> Result<(), Refusal> {
        let policy = |setting: &PolicySetting| Policy::new(&self.root, setting.policy);
        let policies: Vec<(Policy, &PolicySetting)> = before
            .iter()
            .map(|setting| (policy(setting), setting))
            .collect();
        let mut outcome = Ok(());
        for (policy, setting) in &policies {
            outcome = outcome.and(policy.restore(setting));
        }
        outcome.clone()?;
        // What others limit further stays different, and is no reason to fail.
        settle(|| policies.iter().all(|(policy, was)| policy.shows(was)));
        for (policy, setting) in &policies {
            outcome = outcome.and(policy.check_restored(setting));
        }
        outcome
    }

    /// Those whose CPUs are online.
    fn policies(&self) -> Vec<Policy> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut numbers: Vec<u32> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                name.to_str()?.strip_prefix("policy")?.parse().ok()
            })
            .collect();
        numbers.sort_unstable();
        let policies = numbers.into_iter().map(|n| Policy::new(&self.root, n));
        policies.filter(Policy::is_online).collect()
    }

    fn all(&self, holds: impl Fn(&Policy) -> bool, otherwise: &str) -> Result<(), Refusal> {
        match self.policies().iter().find(|policy| !holds(policy)) {
            None => Ok(()),
            Some(policy) => Err(Refusal::new(
                RefusalCode::DidNotTake,
                format!("{policy}: {otherwise}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Board;
    use super::*;

    #[test]
    fn what_all_cpus_that_are_online_have_is_offered() {
        let board = Board::with_two_clusters();
        let cpufreq = board.cpufreq();
        assert_eq!(
            cpufreq.governors(),
            ["schedutil", "powersave", "performance"]
        );
        let range = cpufreq.range().unwrap();
        assert_eq!((range.min_khz, range.max_khz), (600_000, 2_400_000));
        assert_eq!(range.steps_khz.first(), Some(&408_000));
        let none = Cpufreq::new(Path::new("/nonexistent"));
        assert!(none.governors().is_empty() && none.range().is_none());
        let code = none.check_governor("performance").unwrap_err().code;
        assert_eq!(code, RefusalCode::NotSupported);
        assert_eq!(
            none.check_cap(1).unwrap_err().code,
            RefusalCode::NotSupported
        );
    }

    #[test]
    fn cpus_that_are_offline_are_left_alone() {
        let board = Board::with_two_clusters();
        let cpufreq = board.cpufreq();
        let settings = cpufreq.settings().unwrap();
        let policies: Vec<u32> = settings.iter().map(|setting| setting.policy).collect();
        assert_eq!(policies, [0, 4]);
        cpufreq.set_governor("performance").unwrap();
        cpufreq.set_cap(1_200_000).unwrap();
        assert_eq!(board.read("policy6/scaling_max_freq"), "2200000");
        cpufreq.restore(&settings).unwrap();
    }

    #[test]
    fn a_cap_lowers_what_is_higher_and_nothing_else() {
        let board = Board::with_two_clusters();
        let cpufreq = board.cpufreq();
        // As jetson_clocks fixes clocks.
        board.write("policy4/scaling_min_freq", "2400000");
        let before = cpufreq.settings().unwrap();
        cpufreq.check_cap(2_000_000).unwrap();
        cpufreq.set_cap(2_000_000).unwrap();
        assert_eq!(board.read("policy0/scaling_max_freq"), "1800000");
        assert_eq!(board.read("policy4/scaling_max_freq"), "2000000");
        assert_eq!(board.read("policy4/scaling_min_freq"), "2000000");
        cpufreq.restore(&before).unwrap();
        assert_eq!(cpufreq.settings().unwrap(), before);
    }

    /// The kernel takes a limit, and shows it a little later.
    #[test]
    fn a_limit_that_comes_late_is_waited_for() {
        let board = Board::with_two_clusters();
        let cpufreq = board.cpufreq();
        board.write("policy4/scaling_min_freq", "2400000");
        let before = cpufreq.settings().unwrap();
        cpufreq.set_cap(2_000_000).unwrap();
        // It takes everything and keeps nothing.
        board.replace_by_nothing("policy4/scaling_max_freq");
        let restored = std::thread::scope(|scope| {
            let restored = scope.spawn(|| cpufreq.restore(&before));
            // Written after the other one.
            while board.read("policy4/scaling_min_freq") != "2400000" {
                assert!(!restored.is_finished());
                std::thread::yield_now();
            }
            board.replace("policy4/scaling_max_freq", "2400000");
            restored.join().unwrap()
        });
        restored.unwrap();
        assert_eq!(cpufreq.settings().unwrap(), before);
    }

    #[test]
    fn a_cap_never_raises_what_is_allowed() {
        let board = Board::with_two_clusters();
        board.write("policy4/scaling_max_freq", "1600000");
        let code = |khz| {
            board
                .cpufreq()
                .check_cap(khz)
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(code(1_800_000), Ok(()), "the other cluster may");
        assert_eq!(code(1_800_001), Err(RefusalCode::OutOfRange));
        assert_eq!(code(599_999), Err(RefusalCode::OutOfRange));
        board.write("policy0/scaling_max_freq", "1600000");
        assert_eq!(code(1_800_000), Err(RefusalCode::OutOfRange));
    }

    #[test]
    fn a_governor_comes_back_with_its_tunables() {
        let board = Board::with_two_clusters();
        let cpufreq = board.cpufreq();
        board.write("policy0/schedutil/rate_limit_us", "500");
        let before = cpufreq.settings().unwrap();
        assert_eq!(before[0].tunables["rate_limit_us"], "500");
        cpufreq.check_governor("performance").unwrap();
        cpufreq.set_governor("performance").unwrap();
        assert_eq!(board.read("policy4/scaling_governor"), "performance");
        // The kernel begins anew with its default.
        board.write("policy0/schedutil/rate_limit_us", "10000");
        cpufreq.restore(&before).unwrap();
        assert_eq!(cpufreq.settings().unwrap(), before);
    }

    #[test]
    fn tunables_that_were_lost_are_put_back_by_a_later_try_or_told() {
        let board = Board::with_two_clusters();
        let cpufreq = board.cpufreq();
        board.write("policy0/schedutil/rate_limit_us", "500");
        let before = cpufreq.settings().unwrap();
        // An earlier try had brought back the governor, which began with its defaults.
        board.write("policy0/schedutil/rate_limit_us", "10000");
        cpufreq.restore(&before).unwrap();
        assert_eq!(board.read("policy0/schedutil/rate_limit_us"), "500");
        // It takes everything and keeps nothing.
        board.replace_by_nothing("policy0/schedutil/rate_limit_us");
        for _ in 0..2 {
            let refusal = cpufreq.restore(&before).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::NotRestored);
            assert!(refusal.message.contains("rate_limit_us"), "{refusal}");
            assert!(!refusal.message.contains('/'), "a path leaves: {refusal}");
        }
    }

    #[test]
    fn a_governor_that_one_cluster_lacks_is_refused() {
        let board = Board::with_two_clusters();
        let refusal = board.cpufreq().check_governor("ondemand").unwrap_err();
        assert_eq!(refusal.code, RefusalCode::UnknownGovernor);
        assert!(
            refusal.message.contains("schedutil, powersave"),
            "{refusal}"
        );
    }

    #[test]
    fn what_does_not_hold_is_told() {
        let board = Board::with_two_clusters();
        let before = board.cpufreq().settings().unwrap();
        // It takes everything and keeps nothing.
        board.replace_by_nothing("policy4/scaling_governor");
        let refusal = board.cpufreq().set_governor("performance").unwrap_err();
        assert_eq!(refusal.code, RefusalCode::DidNotTake);
        let refusal = board.cpufreq().restore(&before).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::NotRestored);
        assert!(refusal.message.contains("policy4 is at "), "{refusal}");
        assert!(!refusal.message.contains('/'), "a path leaves: {refusal}");
        assert_eq!(board.read("policy0/scaling_governor"), "schedutil");
    }
}
