//! Which board this is: what device tree and DMI say, and how closely a profile fits.
//!
//! Neither can be trusted: a tree may be a copy, unreadable or garbage. What can't be read
//! says nothing.

use super::profile::Detect;
use std::io::Read;
use std::path::Path;

/// The largest `compatible` known has under 200 bytes.
const LARGEST: u64 = 4096;

/// What the board says it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BoardIdentity {
    /// The device tree's `compatible`, from the board to its family.
    pub compatible: Vec<String>,
    /// The device tree's `model`.
    pub model: Option<String>,
    /// The DMI product name.
    pub product: Option<String>,
    /// What started the kernel, with its version.
    pub firmware: Option<String>,
}

impl BoardIdentity {
    /// `devicetree` is /proc/device-tree and `sysfs` /sys, or copies of them.
    pub fn read(devicetree: &Path, sysfs: &Path) -> Self {
        Self {
            compatible: strings(&devicetree.join("compatible")),
            model: strings(&devicetree.join("model")).into_iter().next(),
            product: dmi(sysfs, "product_name"),
            firmware: firmware(devicetree, sysfs),
        }
    }
}

fn dmi(sysfs: &Path, name: &str) -> Option<String> {
    let file = sysfs.join("class/dmi/id").join(name);
    strings(&file).into_iter().next()
}

/// A PC's and a newer Jetson's UEFI tells its version by DMI. Else the boot loader leaves it
/// in the device tree: the Raspberry Pi's in a node of its own, U-Boot beside the command line.
fn firmware(devicetree: &Path, sysfs: &Path) -> Option<String> {
    let chosen = |name: &str| {
        let found = strings(&devicetree.join("chosen").join(name));
        found.into_iter().next()
    };
    let named = |name: &str, version: String| format!("{name} {version}");
    dmi(sysfs, "bios_version")
        .map(|version| match dmi(sysfs, "bios_vendor") {
            Some(vendor) => named(&vendor, version),
            None => version,
        })
        .or_else(|| Some(named("bootloader", chosen("bootloader/version")?)))
        .or_else(|| Some(named("U-Boot", chosen("u-boot,version")?)))
}

/// The strings of a file, which end in NUL in a device tree and in a line break in sysfs.
fn strings(path: &Path) -> Vec<String> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    match read {
        Ok(_) => strings_in(&bytes),
        Err(_) => Vec::new(),
    }
}

/// What is text, without what is not.
pub(super) fn strings_in(bytes: &[u8]) -> Vec<String> {
    bytes
        .split(|byte| matches!(byte, 0 | b'\n'))
        .filter_map(|part| std::str::from_utf8(part).ok())
        .map(str::trim)
        .filter(|part| !part.is_empty() && !part.contains(char::is_control))
        .map(str::to_owned)
        .collect()
}

/// How closely a profile fits; the least is the closest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// By the entry of `compatible` of this number: they go from the board to its family.
    Compatible(usize, Exactness),
    Model(Exactness),
    Product(Exactness),
}

/// The least is the most exact: 0 for the same text, else one more than the letters that the
/// `*` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exactness(usize);

/// How closely a profile that is told by `detect` fits a board; `None` where it doesn't.
pub fn rank(identity: &BoardIdentity, detect: &Detect) -> Option<Match> {
    let compatible = || {
        let entries = identity.compatible.iter().enumerate();
        entries
            .filter_map(|(number, entry)| {
                let parts = parts(entry);
                let closest = parts
                    .iter()
                    .filter_map(|part| closest(part, &detect.compatible));
                Some(Match::Compatible(number, closest.min()?))
            })
            .min()
    };
    let model = || {
        Some(Match::Model(closest(
            identity.model.as_ref()?,
            &detect.model,
        )?))
    };
    let product = || {
        let product = identity.product.as_ref()?;
        Some(Match::Product(closest(product, &detect.product)?))
    };
    compatible().or_else(model).or_else(product)
}

/// Whether an entry of `compatible` matches one of `patterns`, whole or in a part.
pub fn is_one_of(entry: &str, patterns: &[String]) -> bool {
    let parts = parts(entry);
    parts.iter().any(|part| closest(part, patterns).is_some())
}

/// `nvidia,p3768-0000+p3767-0005` names a carrier and a module: the entry itself, then each
/// part with the maker's name.
fn parts(entry: &str) -> Vec<String> {
    let mut all = vec![entry.to_owned()];
    if let Some((maker, parts)) = entry.split_once(',')
        && parts.contains('+')
    {
        all.extend(parts.split('+').map(|part| format!("{maker},{part}")));
    }
    all
}

fn closest(text: &str, patterns: &[String]) -> Option<Exactness> {
    let exactness = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => Some(Exactness(text.strip_prefix(start)?.len() + 1)),
        None => (text == pattern).then_some(Exactness(0)),
    };
    patterns.iter().filter_map(exactness).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn board(compatible: &[&str], model: Option<&str>) -> BoardIdentity {
        BoardIdentity {
            compatible: compatible.iter().map(|entry| entry.to_string()).collect(),
            model: model.map(str::to_owned),
            ..BoardIdentity::default()
        }
    }

    fn detect(compatible: &[&str], model: &[&str]) -> Detect {
        let owned = |list: &[&str]| list.iter().map(|entry| entry.to_string()).collect();
        Detect {
            compatible: owned(compatible),
            model: owned(model),
            ..Detect::default()
        }
    }

    #[test]
    fn the_board_itself_goes_before_its_family_and_its_model() {
        let pi = board(
            &["raspberrypi,4-model-b", "brcm,bcm2711"],
            Some("Raspberry Pi 4"),
        );
        let own = rank(&pi, &detect(&["raspberrypi,4-model-b"], &[])).unwrap();
        let starred = rank(&pi, &detect(&["raspberrypi,4-*"], &[])).unwrap();
        let family = rank(&pi, &detect(&["brcm,bcm2711"], &[])).unwrap();
        let model = rank(&pi, &detect(&[], &["Raspberry Pi*"])).unwrap();
        assert!(own < starred && starred < family && family < model);
        assert_eq!(rank(&pi, &detect(&["raspberrypi,4"], &["Raspberry"])), None);
    }

    #[test]
    fn a_module_is_found_on_any_carrier() {
        let orin = board(
            &["nvidia,p3768-0000+p3767-0005-super", "nvidia,tegra234"],
            None,
        );
        assert!(rank(&orin, &detect(&["nvidia,p3767-0005*"], &[])).is_some());
        assert!(rank(&orin, &detect(&["nvidia,p3767-0005"], &[])).is_none());
        assert!(rank(&orin, &detect(&["nvidia,p3768-0000+p3767-0005-super"], &[])).is_some());
    }

    #[test]
    fn a_tree_that_says_nothing_is_no_board() {
        let tree = tempfile::tempdir().unwrap();
        let read = || BoardIdentity::read(tree.path(), tree.path());
        assert_eq!(read(), BoardIdentity::default());
        // A folder in its place can't be read.
        std::fs::create_dir(tree.path().join("model")).unwrap();
        std::fs::write(tree.path().join("compatible"), b"\xff\xfe\0\0\x01,a\0a,b\0").unwrap();
        assert_eq!(read(), board(&["a,b"], None));
        let dmi = tree.path().join("class/dmi/id");
        std::fs::create_dir_all(&dmi).unwrap();
        std::fs::write(dmi.join("product_name"), "NUC7i5\n").unwrap();
        assert_eq!(read().product.as_deref(), Some("NUC7i5"));
    }

    #[test]
    fn what_started_the_kernel_is_told_by_it_or_by_the_device_tree() {
        let tree = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = tree.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let firmware = || {
            let identity = BoardIdentity::read(&tree.path().join("dt"), &tree.path().join("sys"));
            identity.firmware.unwrap_or_default()
        };
        assert_eq!(firmware(), "");
        write("dt/chosen/u-boot,version", "2026.07\0");
        assert_eq!(firmware(), "U-Boot 2026.07");
        write("dt/chosen/bootloader/version", "086b83e3\0");
        assert_eq!(firmware(), "bootloader 086b83e3");
        write("sys/class/dmi/id/bios_version", "36.4.3-gcid-38968081\n");
        assert_eq!(firmware(), "36.4.3-gcid-38968081");
        write("sys/class/dmi/id/bios_vendor", "EDK II\n");
        assert_eq!(firmware(), "EDK II 36.4.3-gcid-38968081");
    }

    proptest! {
        #[test]
        fn garbage_matches_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let tree = tempfile::tempdir().unwrap();
            std::fs::write(tree.path().join("compatible"), &bytes).unwrap();
            let identity = BoardIdentity::read(tree.path(), tree.path());
            let known = detect(&["nvidia,p3767-0005*"], &["NVIDIA*"]);
            prop_assert_eq!(rank(&identity, &known), None);
        }
    }
}
