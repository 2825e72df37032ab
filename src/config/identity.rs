//! Who this device is: its name in every topic, and an id that tells two devices of the
//! same name apart.

use super::Config;
use crate::workload::job::hex;
use sha2::{Digest, Sha256};
use std::path::Path;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub device: String,
    /// Derived from the machine id, which systemd asks not to publish as it is.
    pub machine_id: String,
}

impl Identity {
    /// The configured name, or host name plus six hex digits of the machine id.
    ///
    /// Errors: /etc/machine-id can't be read and the state directory can't keep one.
    pub fn of(config: &Config) -> std::io::Result<Self> {
        let machine_id = machine_id(&config.storage.dir)?;
        let device = config.device.name.clone().unwrap_or_else(|| {
            let host = rustix::system::uname();
            default_name(&host.nodename().to_string_lossy(), &machine_id)
        });
        Ok(Self {
            device,
            machine_id: hex(&Sha256::digest(format!("jouled {machine_id}")))[..32].to_owned(),
        })
    }
}

/// /etc/machine-id, or on systems without one an id that the state directory keeps.
fn machine_id(state: &Path) -> std::io::Result<String> {
    let usable = |text: String| {
        let id = text.trim().to_ascii_lowercase();
        (id.len() >= 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
    };
    let kept = state.join("machine-id");
    for path in [Path::new("/etc/machine-id"), &kept] {
        if let Some(id) = std::fs::read_to_string(path).ok().and_then(usable) {
            return Ok(id);
        }
    }
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?
        .trim()
        .replace('-', "");
    std::fs::create_dir_all(state)?;
    std::fs::write(&kept, &id)?;
    Ok(id)
}

/// `[a-z0-9-]`, 40 characters of host name at most, and six hex digits.
fn default_name(host: &str, machine_id: &str) -> String {
    let safe: String = host
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let digits = machine_id.get(..6).unwrap_or(machine_id);
    format!("{}-{digits}", safe.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_a_topic_level() {
        assert_eq!(
            default_name("Pi5.lab_1", "0123456789ab"),
            "pi5-lab-1-012345"
        );
        let long = default_name(&"x".repeat(60), "0123456789ab");
        assert_eq!(long.len(), 40 + 1 + 6);
    }

    #[test]
    fn a_machine_without_an_id_keeps_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = machine_id(dir.path()).expect("an id");
        assert_eq!(machine_id(dir.path()).expect("the same id"), first);
    }
}
