//! Invented powercap trees.

use super::*;
use crate::sensor::testing::{Collect, Tree};
use crate::sensor::{Boundary, PollError, ReadingKind, SensorConfig, SensorKind, Source, Window};
use crate::units::Joules;

fn domain(tree: &Tree, zone: &str, name: &str, microjoules: i64) {
    let folder = format!("class/powercap/{zone}");
    tree.write(&format!("{folder}/name"), &format!("{name}\n"));
    tree.write(&format!("{folder}/energy_uj"), &format!("{microjoules}\n"));
    tree.write(&format!("{folder}/max_energy_range_uj"), "1000000\n");
}

/// A laptop: one package with cores and DRAM, and psys.
fn laptop() -> Tree {
    let tree = Tree::new();
    domain(&tree, "intel-rapl:0", "package-0", 900_000);
    domain(&tree, "intel-rapl:0:0", "core", 5);
    domain(&tree, "intel-rapl:0:1", "dram", 10_000);
    domain(&tree, "intel-rapl:1", "psys", 5);
    // The same package a second time.
    domain(&tree, "intel-rapl-mmio:0", "package-0", 900_000);
    tree
}

fn opened(tree: &Tree) -> Box<dyn Source> {
    let mut config = SensorConfig::new("cpu", SensorKind::Rapl);
    config.sysfs_root = tree.sysfs_root();
    open(&config).unwrap()
}

fn energy(window: &Window) -> Joules {
    window.power * window.t1.since(window.t0)
}

#[test]
fn a_package_alone_has_the_sensors_name() {
    let tree = Tree::new();
    domain(&tree, "intel-rapl:0", "package-0", 900_000);
    domain(&tree, "intel-rapl:1", "psys", 5);
    let mut source = opened(&tree);
    assert_eq!(source.rails().len(), 1);
    assert_eq!(source.rails()[0].name, "cpu");
    assert_eq!(source.rails()[0].boundary, Boundary::Package);

    let mut sink = Collect::default();
    source.poll(&mut sink).unwrap();
    domain(&tree, "intel-rapl:0", "package-0", 100_000);
    source.poll(&mut sink).unwrap();
    assert!((energy(&sink.0[0].1).0 - 0.2).abs() < 1e-9);
}

#[test]
fn package_and_dram_add_up_and_nothing_counts_twice() {
    let tree = laptop();
    let mut source = opened(&tree);
    let rails: Vec<(&str, Option<&str>)> = source
        .rails()
        .iter()
        .map(|rail| (rail.name.as_str(), rail.contained_in.as_deref()))
        .collect();
    assert_eq!(
        rails,
        [
            ("cpu.package-0", Some("cpu.total")),
            ("cpu.core-0", Some("cpu.package-0")),
            ("cpu.dram-0", Some("cpu.total")),
            ("cpu.total", None),
        ]
    );
    assert_eq!(source.rails()[3].boundary, Boundary::Partial);
    assert_eq!(source.rails()[3].kind, ReadingKind::Counter);

    let mut sink = Collect::default();
    source.poll(&mut sink).unwrap();
    // The package wraps, the DRAM does not.
    domain(&tree, "intel-rapl:0", "package-0", 100_000);
    domain(&tree, "intel-rapl:0:1", "dram", 60_000);
    source.poll(&mut sink).unwrap();
    let total: Vec<&Window> = sink.0.iter().filter(|w| w.0 == 3).map(|w| &w.1).collect();
    assert!((energy(total[0]).0 - 0.25).abs() < 1e-9);
}

#[test]
fn a_counter_that_fails_does_not_stop_the_others() {
    let tree = laptop();
    let mut source = opened(&tree);
    let mut sink = Collect::default();
    source.poll(&mut sink).unwrap();
    tree.remove("class/powercap/intel-rapl:0:1");
    domain(&tree, "intel-rapl:0", "package-0", 950_000);
    let error = source.poll(&mut sink).unwrap_err();
    assert!(matches!(error, PollError::Retry(_)), "{error}");
    let rails: Vec<usize> = sink.0.iter().map(|(rail, _)| *rail).collect();
    assert_eq!(rails, [0]);
}

#[test]
fn two_packages_in_a_nested_tree_are_told_apart() {
    let tree = Tree::new();
    for package in 0..2 {
        let zone = format!("intel-rapl/intel-rapl:{package}");
        domain(&tree, &zone, &format!("package-{package}"), 1);
        domain(&tree, &format!("{zone}/intel-rapl:{package}:0"), "dram", 1);
    }
    let source = opened(&tree);
    let names: Vec<&str> = source.rails().iter().map(|r| r.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cpu.package-0",
            "cpu.package-1",
            "cpu.dram-0",
            "cpu.dram-1",
            "cpu.total"
        ]
    );
}

#[test]
fn a_machine_without_rapl_is_told() {
    let tree = Tree::new();
    let mut config = SensorConfig::new("cpu", SensorKind::Rapl);
    config.sysfs_root = tree.sysfs_root();
    let error = open(&config).err().unwrap();
    assert!(error.to_string().contains("no RAPL package"), "{error}");
    assert!(discover(tree.root()).is_empty());
}

#[test]
fn psys_is_found_and_is_no_rail() {
    let found = discover(laptop().root());
    let psys = found.iter().find(|domain| domain.label == "psys").unwrap();
    assert_eq!(psys.place, Place::Enclosing);
    assert_eq!(psys.readable, Ok(()));
}

#[test]
fn the_advice_names_the_file_and_what_to_write() {
    use crate::sensor::sysfs::ReadError;
    let denied = ReadError::Denied("/sys/class/powercap/intel-rapl:0/energy_uj".into());
    let advice = super::discover::advice(&denied);
    assert!(advice.starts_with("/sys/class/powercap/intel-rapl:0/energy_uj: permission"));
    assert!(advice.contains("tmpfiles.d"));
}

#[test]
fn a_half_written_counter_is_an_error_not_a_zero() {
    let tree = Tree::new();
    domain(&tree, "intel-rapl:0", "package-0", 12);
    let mut source = opened(&tree);
    tree.write("class/powercap/intel-rapl:0/energy_uj", "\n");
    let mut sink = Collect::default();
    assert!(matches!(source.poll(&mut sink), Err(PollError::Retry(_))));
    assert!(sink.0.is_empty());
}
