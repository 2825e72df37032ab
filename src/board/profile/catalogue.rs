//! The profiles at hand: those built into the program and those of the administrator.

use super::super::detect::{BoardIdentity, Match, rank};
use super::{Profile, check};
use crate::strict_toml::{self, TomlError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// A profile can't be used. The text says where and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    #[error("{path}: {message}")]
    File { path: String, message: String },
    #[error("{path}:{line}: {message}")]
    Line {
        path: String,
        line: usize,
        message: String,
    },
}

macro_rules! shipped {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../boards/", $name, ".toml")))),*]
    };
}

const SHIPPED: [(&str, &str); 14] = shipped!(
    "raspberrypi-4" "raspberrypi-5" "jetson-nano" "jetson-tx2" "jetson-xavier-nx"
    "jetson-agx-xavier" "jetson-orin-nano" "jetson-orin-nx" "jetson-agx-orin" "jetson-agx-thor"
    "rock-5b" "orangepi-5" "generic-aarch64" "generic-x86_64"
);

/// Board profiles by name. A clone is cheap: every default configuration has one.
#[derive(Debug, Clone, PartialEq)]
pub struct Profiles(Arc<Vec<Profile>>);

impl Profiles {
    /// Those built into the program.
    pub fn shipped() -> Self {
        static PARSED: LazyLock<Profiles> = LazyLock::new(|| {
            let profile = |(name, text): (&str, &str)| {
                let path = format!("boards/{name}.toml");
                parse(&path, text).expect("a test reads every shipped file")
            };
            Profiles(Arc::new(SHIPPED.map(profile).into()))
        });
        PARSED.clone()
    }

    /// The same with the files `*.toml` of `folder`: one of a shipped profile's name takes
    /// its place, any other is added. A folder that is not there adds nothing.
    ///
    /// Errors: a file can't be read or is no profile, or two have one name.
    pub fn with_own(folder: &Path) -> Result<Self, ProfileError> {
        let mut profiles = Self::shipped();
        let mut own: Vec<Profile> = Vec::new();
        for path in toml_files(folder) {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(&path).map_err(|error| ProfileError::File {
                path: shown.clone(),
                message: format!("cannot be read: {error}"),
            })?;
            let profile = parse(&shown, &text)?;
            if own.iter().any(|other| other.name == profile.name) {
                return Err(ProfileError::File {
                    path: shown,
                    message: format!("another file has a profile \"{}\" too", profile.name),
                });
            }
            own.push(profile);
        }
        let all = Arc::make_mut(&mut profiles.0);
        for profile in own {
            match all.iter_mut().find(|p| p.name == profile.name) {
                Some(shipped) => *shipped = profile,
                None => all.push(profile),
            }
        }
        Ok(profiles)
    }

    pub fn by_name(&self, name: &str) -> Option<&Profile> {
        self.0.iter().find(|profile| profile.name == name)
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|profile| profile.name.as_str()).collect()
    }

    /// The profile that fits `identity` most closely; the generic one of this processor's
    /// architecture where none does.
    pub fn detect(&self, identity: &BoardIdentity) -> Profile {
        let generic = format!("generic-{}", std::env::consts::ARCH);
        self.0
            .iter()
            .filter_map(|profile| Some((rank(identity, &profile.detect)?, profile)))
            .min_by_key(|&(closeness, _): &(Match, _)| closeness)
            .map(|(_, profile)| profile)
            .or_else(|| self.by_name(&generic))
            .cloned()
            .unwrap_or_else(|| Profile::unknown(generic))
    }
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    files
}

/// Reads one profile. `path` is what an error calls it.
pub fn parse(path: &str, text: &str) -> Result<Profile, ProfileError> {
    let at = |error: TomlError| match error {
        TomlError {
            line: Some(line),
            message,
        } => ProfileError::Line {
            path: path.to_owned(),
            line,
            message,
        },
        TomlError { message, .. } => ProfileError::File {
            path: path.to_owned(),
            message,
        },
    };
    let profile: Profile = strict_toml::read(text).map_err(at)?;
    check::check(&profile, text).map_err(at)?;
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn every_shipped_file_is_a_profile_of_its_name() {
        for (name, text) in SHIPPED {
            let profile = parse(&format!("boards/{name}.toml"), text).unwrap();
            assert_eq!(profile.name, name);
        }
        let files = toml_files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/boards")));
        assert_eq!(files.len(), SHIPPED.len());
    }

    #[test]
    fn every_shipped_fact_has_its_source() {
        let mut unverified = 0;
        for profile in Profiles::shipped().0.iter() {
            let mut facts = Vec::new();
            let detects = profile.detect != Default::default();
            facts.extend(detects.then_some((&profile.detect.source, profile.detect.status)));
            facts.extend(
                profile
                    .memory
                    .iter()
                    .map(|fact| (&fact.source, fact.status)),
            );
            let accelerators = profile.accelerator.iter();
            facts.extend(accelerators.map(|fact| (&fact.source, fact.status)));
            facts.extend(
                profile
                    .sensor
                    .iter()
                    .map(|fact| (&fact.source, fact.status)),
            );
            facts.extend(profile.rail.iter().map(|fact| (&fact.source, fact.status)));
            facts.extend(profile.total.iter().map(|fact| (&fact.source, fact.status)));
            let modes = profile.power_mode.iter();
            facts.extend(modes.map(|fact| (&fact.source, fact.status)));
            let zones = (&profile.thermal.source, profile.thermal.status);
            facts.extend((!profile.thermal.zones.is_empty()).then_some(zones));
            let evidence = profile.throttle.iter().chain(&profile.under_voltage);
            facts.extend(evidence.map(|fact| (&fact.source, fact.status)));
            for (source, status) in facts {
                let stated = source.as_deref().is_some_and(|source| !source.is_empty());
                assert!(stated, "{}: a fact has no source", profile.name);
                unverified += usize::from(status == Status::Unverified);
            }
        }
        assert!(unverified > 0, "nobody has checked prices and bandwidths");
    }

    fn refused(text: &str) -> String {
        parse("b.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_file_and_line() {
        let head = "name = \"b\"\ntitle = \"B\"\n";
        let text = refused(&format!(
            "{head}[[rail]]\nlabel = \"A\"\nboundry = \"rail\"\n"
        ));
        assert!(
            text.starts_with("b.toml:5") && text.contains("`boundary`"),
            "{text}"
        );
        let text = refused(&format!(
            "{head}[[rail]]\nlabel = \"A\"\nboundary = \"rial\"\n"
        ));
        assert!(
            text.starts_with("b.toml:5") && text.contains("`rial`"),
            "{text}"
        );
        let text = refused("title = \"B\"\n");
        assert!(text.contains("`name`"), "{text}");
        let text = refused("name = [\n");
        assert!(text.starts_with("b.toml:"), "{text}");
    }

    #[test]
    fn an_own_profile_takes_the_place_of_a_shipped_one() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text);
        write("pi.toml", "name = \"raspberrypi-5\"\ntitle = \"Mine\"\n").unwrap();
        write("new.toml", "name = \"new\"\ntitle = \"New\"\n").unwrap();
        write("notes.txt", "no profile").unwrap();
        let profiles = Profiles::with_own(folder.path()).unwrap();
        assert_eq!(profiles.names().len(), SHIPPED.len() + 1);
        assert_eq!(profiles.by_name("raspberrypi-5").unwrap().title, "Mine");
        write("twice.toml", "name = \"new\"\ntitle = \"New\"\n").unwrap();
        assert!(Profiles::with_own(folder.path()).is_err());
        let absent = Profiles::with_own(Path::new("absent")).unwrap();
        assert_eq!(absent, Profiles::shipped());
    }
}
