//! Power modes, governors and frequency caps that jobs ask for: what this board has, and the
//! hold on it for the length of an attempt (docs/power-modes.md).

use crate::board::{Board, Host, Setting};
use crate::power::client::{self, Lease, PowerError};
use crate::power::protocol::{Offer, Wanted};
use crate::workload::Job;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What may be set, through jouled-power's socket.
pub struct Power {
    socket: PathBuf,
    /// Whether the board's profile says how a power mode is read back.
    tells_mode: bool,
    offer: Mutex<Result<Offer, String>>,
    changed: AtomicBool,
}

/// What a job asks for and this board can't do.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfit {
    pub field: &'static str,
    pub message: String,
}

impl Power {
    /// Nothing is asked yet.
    pub fn new(socket: PathBuf, host: &Host) -> Self {
        Self {
            socket,
            tells_mode: host.profile.power_mode.is_some(),
            offer: Mutex::new(Err("not asked yet".to_owned())),
            changed: AtomicBool::new(false),
        }
    }

    /// What may be asked for, as it was told last.
    ///
    /// Errors: nothing, and why.
    pub fn offer(&self) -> Result<Offer, String> {
        let offer = self.offer.lock();
        offer.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks again where the last answer was none: the service may have been enabled meanwhile.
    /// It takes two seconds at most, and so long only where somebody listens and is silent.
    pub fn ask(&self) -> Result<Offer, String> {
        let known = self.offer();
        if known.is_ok() {
            return known;
        }
        let asked = client::offer(&self.socket)
            .map(|offer| self.that_can_be_read_back(offer))
            .map_err(|error| error.to_string());
        if asked != known {
            self.offer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&asked);
            self.changed.store(true, Ordering::Relaxed);
        }
        asked
    }

    fn that_can_be_read_back(&self, mut offer: Offer) -> Offer {
        if !self.tells_mode {
            offer.power_modes.clear();
        }
        offer
    }

    /// Whether the offer is another one than at the last call.
    pub fn has_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// Whether this board can be set to what the job asks for.
    pub fn check(&self, job: &Job) -> Result<(), Unfit> {
        if !job.sets_power() {
            return Ok(());
        }
        let offer = self.ask().map_err(|message| Unfit {
            field: first_asked(job),
            message,
        })?;
        wanted(job, &offer).map(|_| ())
    }

    /// Sets what the job asks for, until the lease ends. `None`: it asks for nothing. With it
    /// the board as it is now.
    ///
    /// Errors, as the reason of the job's failure: it is not in force.
    pub fn hold(&self, job: &Job, host: &Host) -> Result<Option<(Lease, Board)>, String> {
        if !job.sets_power() {
            return Ok(None);
        }
        let not_in_force = |error: String| format!("the setting is not in force: {error}");
        let offer = self.ask().map_err(not_in_force)?;
        let wanted = wanted(job, &offer).map_err(|unfit| not_in_force(unfit.message))?;
        let lease = Lease::take(&self.socket, &wanted).inspect_err(|error| {
            // The next one finds out whether it is there again.
            if !matches!(error, PowerError::Refused(_)) {
                *self.offer.lock().unwrap_or_else(PoisonError::into_inner) = Err(error.to_string());
                self.changed.store(true, Ordering::Relaxed);
            }
        });
        let lease = lease.map_err(|error| not_in_force(error.to_string()))?;
        let board = Board::read(host);
        let Some(what) = difference(&wanted, &Setting::of(&board)) else {
            return Ok(Some((lease, board)));
        };
        let mut what = format!("did-not-take: {what}");
        if let Err(error) = lease.give_back() {
            what.push_str(&format!("; and it is not as before: {error}"));
        }
        Err(not_in_force(what))
    }
}

fn first_asked(job: &Job) -> &'static str {
    match (&job.power_mode, &job.governor) {
        (Some(_), _) => "power_mode",
        (None, Some(_)) => "governor",
        (None, None) => "max_freq_khz",
    }
}

/// What the job asks for, in the board's own numbers.
fn wanted(job: &Job, offer: &Offer) -> Result<Wanted, Unfit> {
    let unfit = |field, message: String| Unfit { field, message };
    let power_mode = job.power_mode.as_deref().map(|asked| {
        let modes = &offer.power_modes;
        let by_name = modes.iter().find(|mode| mode.name == asked);
        let by_id = || modes.iter().find(|mode| mode.id.to_string() == asked);
        by_name.or_else(by_id).map(|mode| mode.id).ok_or_else(|| {
            let known = modes
                .iter()
                .map(|mode| format!("{} ({})", mode.name, mode.id));
            let known = listed(known.collect());
            unfit(
                "power_mode",
                format!("this board has no such power mode; it has {known}"),
            )
        })
    });
    if let Some(governor) = &job.governor
        && !offer.governors.contains(governor)
    {
        let known = listed(offer.governors.clone());
        let message = format!("this board's CPUs have no such governor; they have {known}");
        return Err(unfit("governor", message));
    }
    if let Some(khz) = job.max_freq_khz {
        let field = "max_freq_khz";
        let Some(range) = &offer.freq else {
            let message = "the clocks of this board's CPUs can't be capped";
            return Err(unfit(field, message.to_owned()));
        };
        let (min, max) = (range.min_khz, range.max_khz);
        if !(min..=max).contains(&khz) {
            let message = format!("this board's clocks can be capped at {min} to {max} kHz");
            return Err(unfit(field, message));
        }
    }
    Ok(Wanted {
        power_mode: power_mode.transpose()?,
        governor: job.governor.clone(),
        max_freq_khz: job.max_freq_khz,
    })
}

fn listed(names: Vec<String>) -> String {
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

/// What the board does not show of what was set.
fn difference(wanted: &Wanted, is: &Setting) -> Option<String> {
    fn differs<T: PartialEq + ToString>(
        what: &str,
        wanted: Option<&T>,
        is: Option<&T>,
    ) -> Option<String> {
        let wanted = wanted?;
        let shown = is.map_or_else(|| "unknown".to_owned(), ToString::to_string);
        (is != Some(wanted)).then(|| {
            format!(
                "{} was set, and the board's {what} is {shown}",
                wanted.to_string()
            )
        })
    }
    let governors = (wanted.governor.is_some() && !is.governors.is_empty())
        .then(|| "some CPUs have another governor than the one that was set".to_owned());
    differs(
        "power mode",
        wanted.power_mode.as_ref(),
        is.power_mode_id.as_ref(),
    )
    .or_else(|| differs("governor", wanted.governor.as_ref(), is.governor.as_ref()))
    .or(governors)
    .or_else(|| {
        let (wanted, is) = (wanted.max_freq_khz.as_ref(), is.max_freq_khz.as_ref());
        differs("max_freq_khz", wanted, is)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::protocol::{FreqRange, Mode};
    use crate::workload::Limits;
    use serde_json::{Value, json};

    fn job(fields: Value) -> Job {
        let mut job = json!({"id": "a", "kind": "bench", "model": "m.gguf"});
        let fields = fields.as_object().unwrap().clone();
        job.as_object_mut().unwrap().extend(fields);
        Job::parse(job.to_string().as_bytes(), &Limits::default()).unwrap()
    }

    fn offer() -> Offer {
        let mode = |id, name: &str| Mode {
            id,
            name: name.to_owned(),
        };
        Offer {
            power_modes: vec![mode(0, "15W"), mode(2, "MAXN_SUPER"), mode(7, "0")],
            governors: vec!["performance".to_owned(), "schedutil".to_owned()],
            freq: Some(FreqRange {
                min_khz: 600_000,
                max_khz: 2_400_000,
                steps_khz: Vec::new(),
            }),
        }
    }

    #[test]
    fn a_mode_is_named_or_numbered() {
        let mode = |text: &str| wanted(&job(json!({"power_mode": text})), &offer());
        assert_eq!(mode("MAXN_SUPER").unwrap().power_mode, Some(2));
        assert_eq!(mode("2").unwrap().power_mode, Some(2));
        assert_eq!(
            mode("0").unwrap().power_mode,
            Some(7),
            "a name is meant first"
        );
        let unfit = mode("02").unwrap_err();
        assert!(
            unfit
                .message
                .ends_with("it has 15W (0), MAXN_SUPER (2), 0 (7)")
        );
    }

    #[test]
    fn what_the_board_lacks_is_named_with_what_it_has() {
        let refused = |fields| wanted(&job(fields), &offer()).unwrap_err();
        let unfit = refused(json!({"governor": "ondemand"}));
        assert_eq!(unfit.field, "governor");
        assert!(unfit.message.contains("performance, schedutil"));
        let unfit = refused(json!({"governor": "performance", "max_freq_khz": 2_400_001}));
        assert_eq!(unfit.field, "max_freq_khz");
        assert!(unfit.message.contains("600000 to 2400000 kHz"));
        let nothing = Offer::default();
        for field in ["power_mode", "governor"] {
            let unfit = wanted(&job(json!({field: "x"})), &nothing).unwrap_err();
            assert!(unfit.field == field && unfit.message.ends_with("none"));
        }
        assert!(wanted(&job(json!({"max_freq_khz": 1})), &nothing).is_err());
    }

    #[test]
    fn what_is_set_has_to_be_seen() {
        let asked = Wanted {
            power_mode: Some(2),
            governor: Some("performance".to_owned()),
            max_freq_khz: Some(1_200_000),
        };
        let is = Setting {
            governor: Some("performance".to_owned()),
            governors: Default::default(),
            max_freq_khz: Some(1_200_000),
            max_freqs_khz: Default::default(),
            power_mode: Some("MAXN_SUPER".to_owned()),
            power_mode_id: Some(2),
        };
        assert_eq!(difference(&asked, &is), None);
        let shown = |change: &dyn Fn(&mut Setting)| {
            let mut is = is.clone();
            change(&mut is);
            difference(&asked, &is).unwrap()
        };
        let other = shown(&|is| is.max_freq_khz = Some(1_800_000));
        assert!(other.contains("1200000 was set, and the board's max_freq_khz is 1800000"));
        assert!(shown(&|is| is.power_mode_id = None).contains("is unknown"));
        let mixed = [("cpu4".to_owned(), "powersave".to_owned())];
        assert!(shown(&|is| is.governors = mixed.clone().into()).contains("some CPUs"));
    }
}
