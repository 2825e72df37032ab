//! The rails of each Jetson as its kernel shows them, read through the real drivers: what
//! they enclose, what adds up, and how fine they are.

mod support;
#[path = "boards/tree.rs"]
mod tree;

use jouled::board::{BoardIdentity, Profiles};
use jouled::sensor::{
    self, Boundary, BoundaryBasis, RailSpec, SensorConfig, SensorKind, Sink, Window,
};
use serde_json::json;
use std::collections::BTreeMap;
use support::rig::{Rig, topic};
use tree::Tree;

use Boundary::{BoardInput, Module, Rail};

/// A channel of a chip: label, mV and mA.
type Channel = (&'static str, i64, i64);

/// The mainline driver's tree of an INA3221, as L4T 34 and later have it.
fn ina3221(tree: &Tree, number: u32, device: &str, channels: &[Channel]) {
    let folder = format!("sys/bus/i2c/drivers/ina3221/{device}/hwmon/hwmon{number}");
    let write = |file: &str, content: String| {
        tree.write(
            &format!("{folder}/{file}"),
            format!("{content}\n").as_bytes(),
        );
    };
    write("name", "ina3221".to_owned());
    for (k, (label, millivolts, milliamperes)) in (1..).zip(channels) {
        write(&format!("in{k}_label"), (*label).to_owned());
        write(&format!("in{k}_enable"), "1".to_owned());
        write(&format!("in{k}_input"), millivolts.to_string());
        write(&format!("curr{k}_input"), milliamperes.to_string());
        // The shunt's voltage, in µV.
        write(&format!("in{}_input", k + 3), "10000".to_owned());
        write(&format!("curr{k}_crit_alarm"), "0".to_owned());
    }
    write("in7_label", "sum of shunt voltages".to_owned());
    write("in7_input", "30000".to_owned());
}

/// The tree of L4T 32: numbers from 0, and power in mW.
fn ina3221x(tree: &Tree, number: u32, device: &str, channels: &[Channel]) {
    let folder = format!("sys/bus/i2c/drivers/ina3221x/{device}/iio:device{number}");
    for (k, (label, millivolts, milliamperes)) in channels.iter().enumerate() {
        let write = |file: &str, content: String| {
            tree.write(
                &format!("{folder}/{file}"),
                format!("{content}\n").as_bytes(),
            );
        };
        write(&format!("rail_name_{k}"), (*label).to_owned());
        write(&format!("in_voltage{k}_input"), millivolts.to_string());
        write(&format!("in_current{k}_input"), milliamperes.to_string());
        let milliwatts = millivolts * milliamperes / 1000;
        write(&format!("in_power{k}_input"), milliwatts.to_string());
    }
}

struct Newest(BTreeMap<usize, Window>);

impl Sink for Newest {
    fn push(&mut self, rail: usize, window: Window) {
        self.0.insert(rail, window);
    }
}

/// What is read of one rail.
#[derive(Debug, Clone, PartialEq)]
struct Read {
    boundary: Boundary,
    contained_in: Option<String>,
    milliwatts: i64,
    /// One step of power, in mW.
    step: Option<i64>,
}

fn read(boundary: Boundary, inside: Option<&str>, milliwatts: i64, step: i64) -> Read {
    Read {
        boundary,
        contained_in: inside.map(str::to_owned),
        milliwatts,
        step: Some(step),
    }
}

/// Opens the chip on the board of this device tree and reads every rail.
fn rails(tree: &Tree, compatible: &str, chip: &str) -> BTreeMap<String, Read> {
    tree.is_board(&[compatible], "");
    let identity = BoardIdentity::read(&tree.devicetree(), &tree.sysfs());
    let profile = Profiles::shipped().detect(&identity);
    let mut config = SensorConfig::new("soc", SensorKind::Hwmon);
    config.chip = Some(chip.to_owned());
    // As the profile suggests it, where the chip has no labels to tell it by.
    let own = profile.sensor.iter();
    let own = own.filter(|own| own.chip.as_deref() == Some(chip));
    config.boundary = own.filter_map(|own| own.boundary).next();
    config.sysfs_root = Some(tree.sysfs().to_str().expect("it is UTF-8").to_owned());
    let mut source = sensor::open(&config, &profile.known_rails()).expect("it opens");
    let mut newest = Newest(BTreeMap::new());
    // Two readings make a window, unless the machine stops for long between them.
    while newest.0.len() < source.rails().len() {
        source.poll(&mut newest).expect("it reads");
    }
    let described = |(index, spec): (usize, &RailSpec)| {
        let window = newest.0[&index];
        let step = spec.limits.power_step(window.voltage);
        let milli = |watts: f64| (watts * 1e3).round() as i64;
        let read = Read {
            boundary: spec.boundary,
            contained_in: spec.contained_in.clone(),
            milliwatts: milli(window.power.0),
            step: step.map(|step| milli(step.0)),
        };
        (spec.name.clone(), read)
    };
    source.rails().iter().enumerate().map(described).collect()
}

fn named<const N: usize>(rails: [(&str, Read); N]) -> BTreeMap<String, Read> {
    rails.map(|(name, read)| (name.to_owned(), read)).into()
}

#[test]
fn the_input_of_orin_nano_and_nx_contains_the_others() {
    let modules = [
        "nvidia,p3768-0000+p3767-0005-super",
        "nvidia,p3768-0000+p3767-0000",
        "nvidia,p3509-0000+p3668-0000",
    ];
    for module in modules {
        let tree = Tree::new();
        let channels = [
            ("VDD_IN", 5000, 1048),
            ("VDD_CPU_GPU_CV", 5000, 104),
            ("VDD_SOC", 5000, 544),
        ];
        ina3221(&tree, 1, "1-0040", &channels);
        let inside = Some("soc.vdd_in");
        let expected = named([
            ("soc.vdd_in", read(Module, None, 5240, 40)),
            ("soc.vdd_cpu_gpu_cv", read(Rail, inside, 520, 40)),
            ("soc.vdd_soc", read(Rail, inside, 2720, 40)),
        ]);
        assert_eq!(rails(&tree, module, "ina3221"), expected, "{module}");
    }
}

#[test]
fn the_module_of_agx_orin_is_the_sum_of_three_without_what_the_third_contains() {
    let tree = Tree::new();
    let first = [
        ("VDD_GPU_SOC", 20_000, 120),
        ("VDD_CPU_CV", 20_000, 80),
        ("VIN_SYS_5V0", 5_000, 940),
    ];
    ina3221(&tree, 3, "1-0040", &first);
    let second = [("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5_000, 60), ("NC", 0, 0)];
    ina3221(&tree, 4, "1-0041", &second);
    let inside = Some("soc.total");
    let mut read_all = rails(&tree, "nvidia,p3737-0000+p3701-0005", "ina3221");
    let total = read_all.remove("soc.total").expect("there is a total");
    assert_eq!((total.boundary, total.contained_in), (Module, None));
    assert_eq!(total.milliwatts, 2400 + 1600 + 4700);
    let expected = named([
        ("soc.vdd_gpu_soc", read(Rail, inside, 2400, 400)),
        ("soc.vdd_cpu_cv", read(Rail, inside, 1600, 400)),
        ("soc.vin_sys_5v0", read(Rail, inside, 4700, 100)),
        (
            "soc.vddq_vdd2_1v8ao",
            read(Rail, Some("soc.vin_sys_5v0"), 300, 100),
        ),
    ]);
    assert_eq!(read_all, expected);
}

#[test]
fn the_module_of_agx_xavier_is_the_sum_of_six_in_both_kinds_of_tree() {
    let first = [
        ("GPU", 19_300, 24),
        ("CPU", 19_300, 32),
        ("SOC", 19_300, 152),
    ];
    let second = [
        ("CV", 19_300, 0),
        ("VDDRQ", 19_300, 16),
        ("SYS5V", 5_000, 664),
    ];
    let old = Tree::new();
    ina3221x(&old, 0, "1-0040", &first);
    ina3221x(&old, 1, "1-0041", &second);
    let new = Tree::new();
    ina3221(&new, 1, "1-0040", &first);
    ina3221(&new, 2, "1-0041", &second);
    for (tree, chip) in [(old, "ina3221x"), (new, "ina3221")] {
        let read = rails(&tree, "nvidia,p2972-0000", chip);
        assert_eq!(read.len(), 7, "{chip}");
        let total = &read["soc.total"];
        let parts = read.values().filter(|rail| rail.contained_in.is_some());
        let sum: i64 = parts.map(|rail| rail.milliwatts).sum();
        assert!((total.milliwatts - sum).abs() <= 3, "{chip}: {read:?}");
        assert_eq!((total.boundary, &total.contained_in), (Module, &None));
        assert_eq!(read["soc.vddrq"].step, Some(154));
        assert_eq!(read["soc.cv"].milliwatts, 0);
    }
}

#[test]
fn the_input_of_nano_and_tx2_is_in_the_older_tree() {
    let nano = Tree::new();
    let channels = [
        ("POM_5V_IN", 5000, 350),
        ("POM_5V_GPU", 5000, 0),
        ("POM_5V_CPU", 5000, 72),
    ];
    ina3221x(&nano, 0, "6-0040", &channels);
    let inside = Some("soc.pom_5v_in");
    let expected = named([
        ("soc.pom_5v_in", read(Module, None, 1750, 40)),
        ("soc.pom_5v_gpu", read(Rail, inside, 0, 40)),
        ("soc.pom_5v_cpu", read(Rail, inside, 360, 40)),
    ]);
    assert_eq!(rails(&nano, "nvidia,jetson-nano", "ina3221x"), expected);

    let tx2 = Tree::new();
    let first = [
        ("VDD_SYS_GPU", 19_100, 8),
        ("VDD_SYS_SOC", 19_100, 36),
        ("VDD_4V0_WIFI", 4_000, 0),
    ];
    let second = [
        ("VDD_IN", 19_100, 160),
        ("VDD_SYS_CPU", 19_100, 8),
        ("VDD_SYS_DDR", 19_100, 46),
    ];
    ina3221x(&tx2, 0, "0-0040", &first);
    ina3221x(&tx2, 1, "0-0041", &second);
    let read = rails(&tx2, "nvidia,quill", "ina3221x");
    assert_eq!((read.len(), read["soc.vdd_in"].boundary), (6, Module));
    let inside = read
        .values()
        .filter(|rail| rail.contained_in.as_deref() == Some("soc.vdd_in"));
    assert_eq!(inside.count(), 5);
}

#[test]
fn the_module_of_thor_is_the_sum_of_three_and_its_input_another_chip() {
    let tree = Tree::new();
    let channels = [
        // One step of offset below zero is real.
        ("VDD_GPU", 19_600, -20),
        ("VDD_CPU_SOC_MSS", 24_700, 220),
        ("VIN_SYS_5V0", 5_000, 1_000),
    ];
    ina3221(&tree, 1, "2-0040", &channels);
    let folder = "sys/bus/i2c/drivers/ina2xx/2-0044/hwmon/hwmon5";
    let files = [
        ("name", "ina238"),
        ("in1_input", "20000"),
        ("curr1_input", "840"),
        ("power1_input", "16802000"),
    ];
    for (file, content) in files {
        tree.write(
            &format!("{folder}/{file}"),
            format!("{content}\n").as_bytes(),
        );
    }
    let module = "nvidia,p4071-0000+p3834-0008";
    let read = rails(&tree, module, "ina3221");
    assert_eq!(read["soc.vdd_gpu"].milliwatts, -392);
    assert_eq!(read["soc.total"].boundary, Module);
    assert_eq!(read["soc.total"].milliwatts, -392 + 5434 + 5000);
    let input = &rails(&tree, module, "ina238")["soc"];
    assert_eq!((input.boundary, input.milliwatts), (BoardInput, 16_802));
}

/// Boards as the collected lines of tegrastats name them.
const MODULES: [(&str, &str); 9] = [
    ("Jetson Nano", "jetson-nano"),
    ("Jetson TX2", "jetson-tx2"),
    ("Jetson Xavier NX", "jetson-xavier-nx"),
    ("Jetson AGX Xavier", "jetson-agx-xavier"),
    ("Jetson Orin Nano", "jetson-orin-nano"),
    ("Jetson Orin NX", "jetson-orin-nx"),
    ("Jetson AGX Orin", "jetson-agx-orin"),
    ("Jetson AGX Thor", "jetson-agx-thor"),
    // Without a profile.
    ("Jetson TX1", ""),
];

#[test]
fn every_rail_of_a_collected_line_is_known_and_all_but_one_are_inside_another() {
    let profiles = Profiles::shipped();
    let tree = Tree::new();
    for line in include_str!("data/tegrastats-lines.txt").lines() {
        let module = line.split('\t').next().expect("the module");
        let power = line.rsplit('\t').next().expect("the line itself");
        let name = MODULES.iter().find(|(start, _)| module.starts_with(start));
        let (_, name) = name.expect("a module of the list");
        let Some(profile) = profiles.by_name(name) else {
            continue;
        };
        tree.write("line", format!("{power}\n").as_bytes());
        let script = format!("cat {:?}; exec sleep 600", tree.path("line"));
        let mut config = SensorConfig::new("soc", SensorKind::Tegrastats);
        let command = ["sh", "-c", &script, "tegrastats", "--interval", "100"];
        config.command = Some(command.map(str::to_owned).into());
        let source = sensor::open(&config, &profile.known_rails()).expect("it starts");
        let rails = source.rails().iter();
        // Not connected.
        let rails = rails.filter(|rail| !rail.name.starts_with("soc.nc"));
        let mut outermost = Vec::new();
        for rail in rails {
            assert_eq!(
                rail.boundary_basis,
                BoundaryBasis::Profile,
                "{module}: {rail:?}"
            );
            if rail.contained_in.is_none() {
                outermost.push((rail.name.as_str(), rail.boundary));
            }
        }
        let expected = match *name {
            "jetson-nano" => ("soc.pom_5v_in", Module),
            "jetson-agx-thor" if power.contains(" VIN ") => ("soc.vin", BoardInput),
            "jetson-agx-xavier" | "jetson-agx-orin" | "jetson-agx-thor" => ("soc.total", Module),
            _ => ("soc.vdd_in", Module),
        };
        assert_eq!(outermost, [expected], "{module}");
    }
}

#[test]
fn the_daemon_takes_the_total_for_its_headline_figures() {
    let tree = Tree::new();
    tree.is_board(&["nvidia,p3737-0000+p3701-0005"], "NVIDIA Jetson AGX Orin");
    let channels = [
        ("VDD_GPU_SOC", 20_000, 120),
        ("VDD_CPU_CV", 20_000, 80),
        ("VIN_SYS_5V0", 5_000, 940),
    ];
    ina3221(&tree, 3, "1-0040", &channels);
    let mut rig = Rig::start(&format!(
        "[board]\nsysfs_root = {0:?}\ndevicetree_root = {1:?}\n\
         [[sensor]]\nname = \"soc\"\nkind = \"hwmon\"\nchip = \"ina3221\"\nsysfs_root = {0:?}\n",
        tree.sysfs(),
        tree.devicetree(),
    ));
    let info = rig.lab.wait_topic(&topic("info")).json();
    assert_eq!(info["primary_rail"], "soc.total", "{info}");
    assert_eq!(info["board"]["profile"], "jetson-agx-orin");
    assert_eq!(info["board"]["memory_bandwidth_gb_s"], 204.8);
    assert_eq!(info["board"]["power_mode"], json!(null));
    assert!(info["board"]["power_mode_reason"].is_string());
    let rails = info["rails"].as_array().expect("a list");
    assert_eq!(rails.len(), 4);
    for rail in rails {
        assert_eq!(rail["boundary_basis"], "profile", "{rail}");
    }
}
