//! Which RAPL domains the machine shows.

use crate::sensor::sysfs::{NumberFile, ReadError, entries, file_name, number, text};
use std::path::{Path, PathBuf};

/// One domain and whether its counter can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    /// `package-0`, `dram-0`, `core-0`, `psys`: the kernel's name with the package's number.
    pub label: String,
    pub place: Place,
    pub folder: PathBuf,
    pub readable: Result<(), String>,
    /// The range of the counter in µJ.
    pub(super) wrap: Option<i64>,
}

/// Where a domain stands among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A package, or its DRAM beside it: these add up.
    Part,
    /// Inside the package of this label.
    Inside(String),
    /// `psys`: all of it, as far as the board's maker says. No rail.
    Enclosing,
}

/// The domains under `sysfs_root` (usually `/sys`), packages before what is in them.
pub fn discover(sysfs_root: &Path) -> Vec<Domain> {
    let mut found: Vec<Domain> = Vec::new();
    let mut seen = Vec::new();
    for folder in zones(&sysfs_root.join("class/powercap")) {
        let Some(zone) = file_name(&folder).map(str::to_owned) else {
            continue;
        };
        if seen.contains(&zone) {
            continue;
        }
        let Some(name) = text(&folder.join("name")) else {
            continue;
        };
        seen.push(zone.clone());
        let package = zone.rsplit_once(':').and_then(|(above, _)| {
            let package = found
                .iter()
                .find(|domain| file_name(&domain.folder) == Some(above))?;
            Some(package.label.clone())
        });
        found.extend(domain(folder, name, package));
    }
    found
}

/// Folders of Intel's and AMD's MSR interface. `intel-rapl-mmio` shows the same packages a
/// second time. Zones stand beside each other in the class and inside each other in a copied
/// tree; the shortest names, the packages', come first.
fn zones(class: &Path) -> Vec<PathBuf> {
    let within = |folder: &Path| -> Vec<PathBuf> {
        let of_msr = |path: &PathBuf| file_name(path).is_some_and(|n| n.starts_with("intel-rapl:"));
        entries(folder).into_iter().filter(of_msr).collect()
    };
    let mut zones = within(class);
    zones.extend(within(&class.join("intel-rapl")));
    let inner: Vec<PathBuf> = zones.iter().flat_map(|zone| within(zone)).collect();
    zones.extend(inner);
    zones.sort_by_key(|zone| {
        let name = file_name(zone).unwrap_or_default();
        (name.matches(':').count(), name.len(), name.to_owned())
    });
    zones
}

fn domain(folder: PathBuf, name: String, package: Option<String>) -> Option<Domain> {
    let (label, place) = match package {
        None if name.starts_with("package") => (name, Place::Part),
        None if name == "psys" => (name, Place::Enclosing),
        None => return None,
        Some(package) => {
            let label = format!(
                "{name}{}",
                package.strip_prefix("package").unwrap_or_default()
            );
            match name.as_str() {
                "dram" => (label, Place::Part),
                "psys" => (name, Place::Enclosing),
                _ => (label, Place::Inside(package)),
            }
        }
    };
    let readable = NumberFile::new(folder.join("energy_uj")).read();
    Some(Domain {
        label,
        place,
        wrap: number(&folder.join("max_energy_range_uj")).filter(|range| *range > 0),
        readable: readable.map(drop).map_err(|error| advice(&error)),
        folder,
    })
}

/// A failure in words, with what to do about the usual one.
pub(super) fn advice(error: &ReadError) -> String {
    match error {
        ReadError::Denied(path) => format!(
            "{}: permission denied; since CVE-2020-8694 the kernel shows RAPL to root only: let a \
             tmpfiles.d line allow it, `z /sys/class/powercap/intel-rapl*/energy_uj 0440 root \
             jouled -`, with the group that runs jouled",
            path.display()
        ),
        error => error.to_string(),
    }
}
