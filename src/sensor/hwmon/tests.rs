//! Invented sysfs trees, one for each kind of chip, and what can go wrong in them.

use super::*;
use crate::sensor::testing::{Collect, Tree};
use crate::sensor::{
    Boundary, KnownRail, KnownRails, KnownTotal, OpenError, PollError, ReadingKind, SensorConfig,
    SensorKind, Source, Window,
};
use crate::units::{Amps, Ohms, Volts, Watts};

fn config(tree: &Tree, chip: &str) -> SensorConfig {
    let mut config = SensorConfig::new("board", SensorKind::Hwmon);
    config.sysfs_root = tree.sysfs_root();
    config.chip = Some(chip.to_owned());
    // No pause of a busy machine is longer than 2.5 of these periods.
    config.rate_hz = Some(0.1);
    config
}

fn opened(tree: &Tree, chip: &str) -> Box<dyn Source> {
    open(&config(tree, chip), &KnownRails::default()).unwrap()
}

fn refusal(tree: &Tree, chip: &str) -> String {
    let outcome = open(&config(tree, chip), &KnownRails::default());
    outcome.err().unwrap().to_string()
}

fn names(source: &dyn Source) -> Vec<&str> {
    source
        .rails()
        .iter()
        .map(|rail| rail.name.as_str())
        .collect()
}

/// Two polls with nothing changed: a window of every rail that can be read.
fn windows(source: &mut dyn Source) -> Vec<(usize, Window)> {
    let mut sink = Collect::default();
    source.poll(&mut sink).unwrap();
    source.poll(&mut sink).unwrap();
    sink.0
}

fn ina3221(tree: &Tree, number: u32, device: &str, labels: [&str; 3], milliamps: [&str; 3]) {
    tree.hwmon(
        number,
        "ina3221",
        device,
        &[
            ("in1_label", labels[0]),
            ("in2_label", labels[1]),
            ("in3_label", labels[2]),
            ("in1_input", "5000"),
            ("in2_input", "5000"),
            ("in3_input", "5000"),
            ("in4_input", "4000"),
            ("in7_input", "9000"),
            ("in7_label", "sum of shunt voltages"),
            ("curr1_input", milliamps[0]),
            ("curr2_input", milliamps[1]),
            ("curr3_input", milliamps[2]),
            ("curr4_input", "9999"),
            ("shunt1_resistor", "5000"),
            ("shunt2_resistor", "5000"),
            ("shunt3_resistor", "5000"),
            ("in1_enable", "1"),
            ("in2_enable", "1"),
            ("in3_enable", "1"),
            ("update_interval", "7"),
            ("samples", "1"),
        ],
    );
}

const ORIN_NANO: [&str; 3] = ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"];

#[test]
fn an_ina219_is_found_by_name_and_its_power_read() {
    let tree = Tree::new();
    tree.hwmon(
        0,
        "cpu_thermal",
        "thermal_zone0",
        &[("temp1_input", "40000")],
    );
    tree.hwmon(
        3,
        "ina219",
        "1-0045",
        &[
            ("in0_input", "4"),
            ("in1_input", "5000"),
            ("curr1_input", "400"),
            ("power1_input", "2000000"),
            ("energy1_input", "5"),
            ("shunt_resistor", "10000"),
        ],
    );
    let mut source = opened(&tree, "ina219");
    let rail = &source.rails()[0];
    assert_eq!(
        (rail.name.as_str(), rail.kind),
        ("board", ReadingKind::Point)
    );
    assert_eq!(rail.shunt, Some(Ohms(0.01)));
    assert!((rail.limits.power_step.0 - 0.02).abs() < 1e-12);
    let seen = windows(&mut *source);
    assert_eq!(seen.len(), 1);
    let window = seen[0].1;
    assert_eq!(window.power, Watts(2.0));
    assert_eq!(window.voltage, Some(Volts(5.0)));
    assert_eq!(window.current, Some(Amps(0.4)));
    let found = discover(tree.root());
    assert!(found[0].warnings[0].contains("R100"), "{found:?}");
    assert_eq!(source.warnings(), found[0].warnings);
}

#[test]
fn without_a_power_file_an_ina2xx_is_multiplied_and_negative_power_is_real() {
    let tree = Tree::new();
    let files = [
        ("in0_input", "-1"),
        ("in1_input", "12000"),
        ("curr1_input", "-250"),
    ];
    tree.hwmon(1, "ina226", "1-0040", &files);
    let seen = windows(&mut *opened(&tree, "ina226"));
    assert_eq!(seen[0].1.power, Watts(-3.0));
}

#[test]
fn an_ina238_without_a_label_takes_the_chips() {
    let tree = Tree::new();
    let files = [
        ("power1_input", "31000000"),
        ("label", "VIN"),
        ("in1_input", "19000"),
    ];
    tree.hwmon(4, "ina238", "2-0044", &files);
    assert_eq!(discover(tree.root())[0].label, "VIN");
    let seen = windows(&mut *opened(&tree, "ina238"));
    assert_eq!(seen[0].1.power, Watts(31.0));
}

#[test]
fn an_ina3221_has_its_channels_multiplied_and_its_sums_left_alone() {
    let tree = Tree::new();
    ina3221(&tree, 2, "1-0040", ORIN_NANO, ["1000", "-8", "200"]);
    let mut source = opened(&tree, "ina3221");
    assert_eq!(
        names(&*source),
        ["board.vdd_in", "board.vdd_cpu_gpu_cv", "board.vdd_soc"]
    );
    let limits = &source.rails()[0].limits;
    assert!((limits.current_step.0 - 0.008).abs() < 1e-12);
    assert!((limits.current_offset.0 - 0.016).abs() < 1e-12);
    assert_eq!(limits.refresh.0, 7_000_000);
    let power: Vec<f64> = windows(&mut *source).iter().map(|w| w.1.power.0).collect();
    assert_eq!(power, [5.0, -0.04, 1.0]);
}

#[test]
fn a_disabled_or_unconnected_channel_is_no_rail() {
    let tree = Tree::new();
    ina3221(
        &tree,
        2,
        "1-0040",
        ["VDD_IN", "NC", "VDD_SOC"],
        ["1000", "0", "0"],
    );
    tree.write("class/hwmon/hwmon2/in3_enable", "0\n");
    let source = opened(&tree, "ina3221");
    assert_eq!(names(&*source), ["board"]);
    let absences: Vec<_> = discover(tree.root()).iter().map(|i| i.absence).collect();
    assert_eq!(
        absences,
        [None, Some(Absence::NotConnected), Some(Absence::Disabled)]
    );
    tree.write("class/hwmon/hwmon2/in1_enable", "0\n");
    assert!(refusal(&tree, "ina3221").contains("in1_enable is 0"));
}

fn fact(label: &str, contained_in: Option<&str>) -> KnownRail {
    KnownRail {
        label: label.to_owned(),
        boundary: Boundary::Rail,
        contained_in: contained_in.map(str::to_owned),
        excludes: Vec::new(),
        shunt: Some(Ohms(0.002)),
        nominal_voltage: Some(Volts(5.0)),
    }
}

#[test]
fn chips_of_one_name_give_their_rails_together_or_by_their_device() {
    let tree = Tree::new();
    let low = ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"];
    // The second chip has the lower hwmon number, as happens.
    ina3221(
        &tree,
        1,
        "1-0041",
        ["NC", "VDDQ_VDD2_1V8AO", "NC"],
        ["0", "100", "0"],
    );
    ina3221(&tree, 5, "1-0040", low, ["1000", "2000", "400"]);
    let known = KnownRails {
        rails: vec![
            fact("VDD_GPU_SOC", None),
            fact("VDD_CPU_CV", None),
            fact("VIN_SYS_5V0", None),
            fact("VDDQ_VDD2_1V8AO", Some("VIN_SYS_5V0")),
        ],
        total: Some(KnownTotal {
            labels: low.map(str::to_owned).to_vec(),
            boundary: Boundary::Module,
            excludes: Vec::new(),
        }),
    };
    let mut config = config(&tree, "ina3221");
    let mut source = open(&config, &known).unwrap();
    let rails: Vec<(&str, Option<&str>)> = source
        .rails()
        .iter()
        .map(|rail| (rail.name.as_str(), rail.contained_in.as_deref()))
        .collect();
    assert_eq!(
        rails,
        [
            ("board.vdd_gpu_soc", Some("board.total")),
            ("board.vdd_cpu_cv", Some("board.total")),
            ("board.vin_sys_5v0", Some("board.total")),
            ("board.vddq_vdd2_1v8ao", Some("board.vin_sys_5v0")),
            ("board.total", None),
        ]
    );
    let seen = windows(&mut *source);
    let total = seen.iter().find(|(rail, _)| *rail == 4).unwrap();
    assert_eq!(total.1.power, Watts(17.0));

    config.device = Some("1-0041".into());
    assert_eq!(names(&*open(&config, &known).unwrap()), ["board"]);
    config.device = Some("1-0042".into());
    let error = open(&config, &known).err().unwrap().to_string();
    assert!(
        error.contains("1-0041, 1-0040") || error.contains("1-0040, 1-0041"),
        "{error}"
    );
}

#[test]
fn labels_of_two_chips_are_told_apart_by_their_devices() {
    let tree = Tree::new();
    tree.hwmon(0, "ina226", "1-0041", &[("power1_input", "2")]);
    tree.hwmon(1, "ina226", "1-0040", &[("power1_input", "1")]);
    let source = opened(&tree, "ina226");
    assert_eq!(
        names(&*source),
        ["board.1-0040.power1", "board.1-0041.power1"]
    );
}

#[test]
fn a_shunt_that_no_file_tells_is_the_profiles() {
    let tree = Tree::new();
    let files = [
        ("in1_input", "5000"),
        ("curr1_input", "100"),
        ("in1_label", "VDD_IN"),
    ];
    tree.hwmon(0, "ina3221", "1-0040", &files);
    let known = KnownRails {
        rails: vec![fact("VDD_IN", None)],
        total: None,
    };
    let source = open(&config(&tree, "ina3221"), &known).unwrap();
    assert_eq!(source.rails()[0].shunt, Some(Ohms(0.002)));
    assert!((source.rails()[0].limits.current_step.0 - 0.02).abs() < 1e-12);
}

#[test]
fn l4t_32s_tree_is_read_and_two_chips_may_share_it() {
    let tree = Tree::new();
    let driver = "bus/i2c/drivers/ina3221x";
    for (device, node, rails) in [
        ("1-0040", "iio:device0", ["GPU", "CPU", "SOC"]),
        ("1-0041", "iio:device1", ["CV", "VDDRQ", "SYS5V"]),
    ] {
        for (k, rail) in rails.iter().enumerate() {
            let file = |name: &str| format!("{driver}/{device}/{node}/{name}");
            tree.write(&file(&format!("rail_name_{k}")), &format!("{rail}\n"));
            tree.write(&file(&format!("in_power{k}_input")), "1544\n");
            tree.write(&file(&format!("in_voltage{k}_input")), "19304\n");
            tree.write(&file(&format!("in_current{k}_input")), "80\n");
        }
    }
    let mut source = opened(&tree, "ina3221x");
    assert_eq!(
        names(&*source),
        [
            "board.gpu",
            "board.cpu",
            "board.soc",
            "board.cv",
            "board.vddrq",
            "board.sys5v"
        ]
    );
    let seen = windows(&mut *source);
    assert_eq!(seen[5].1.power, Watts(1.544));
    assert_eq!(seen[5].1.voltage, Some(Volts(19.304)));
    let found = discover(tree.root());
    assert_eq!(found[3].device.as_deref(), Some("1-0041"));
}

#[test]
fn a_chip_that_only_its_drivers_folder_shows_is_found_once() {
    let tree = Tree::new();
    let folder = "bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3";
    tree.write(&format!("{folder}/name"), "ina3221\n");
    tree.write(&format!("{folder}/in1_input"), "5000\n");
    tree.write(&format!("{folder}/curr1_input"), "100\n");
    let found = discover(tree.root());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].device.as_deref(), Some("1-0040"));
    let files = [("in1_input", "5000"), ("curr1_input", "100")];
    tree.hwmon(3, "ina3221", "1-0040", &files);
    assert_eq!(discover(tree.root()).len(), 1);
}

#[test]
fn counters_of_energy_are_named_by_their_labels() {
    let tree = Tree::new();
    let files = [
        ("energy1_input", "100"),
        ("energy1_label", "Ecore000"),
        ("energy2_input", "100"),
        ("energy2_label", "Esocket0"),
    ];
    tree.hwmon(1, "amd_energy", "amd_energy.0", &files);
    let source = opened(&tree, "amd_energy");
    // A core is inside its socket.
    assert_eq!(names(&*source), ["board"]);
    assert_eq!(source.rails()[0].kind, ReadingKind::Counter);
    assert_eq!(source.rails()[0].boundary, Boundary::Package);

    let files = [
        ("energy1_input", "1"),
        ("energy1_label", "Ecore 0"),
        ("energy2_input", "1"),
    ];
    tree.hwmon(2, "other", "other.0", &files);
    assert_eq!(
        names(&*opened(&tree, "other")),
        ["board.ecore_0", "board.energy2"]
    );
}

#[test]
fn negotiated_values_and_chips_without_power_are_refused_with_the_reason() {
    let tree = Tree::new();
    let contract = [("in0_input", "9000"), ("curr1_input", "3000")];
    tree.hwmon(
        0,
        "tcpm_source_psy_4_0022",
        "power_supply/tcpm-source-psy-4-0022",
        &contract,
    );
    tree.hwmon(
        1,
        "BAT0",
        "power_supply/BAT0",
        &[("power1_input", "9000000")],
    );
    tree.hwmon(2, "rpi_volt", "rpi_volt", &[("in0_lcrit_alarm", "0")]);
    tree.hwmon(3, "ina226", "1-0040", &[("power1_input", "1")]);
    assert!(refusal(&tree, "tcpm_source_psy_4_0022").contains("agreed on"));
    assert!(refusal(&tree, "BAT0").contains("battery"));
    let told = refusal(&tree, "rpi_volt");
    assert!(
        told.contains("under-voltage") && told.contains("these do: ina226"),
        "{told}"
    );
    assert!(refusal(&tree, "ina219").contains("these do: ina226"));
    let absences: Vec<_> = discover(tree.root()).iter().map(|i| i.absence).collect();
    let refused = Some(Absence::NotMeasured);
    assert_eq!(absences, [refused, refused, None]);
}

#[test]
fn a_half_written_value_is_a_gap_and_stops_nothing_else() {
    let tree = Tree::new();
    ina3221(&tree, 2, "1-0040", ORIN_NANO, ["1000", "100", "200"]);
    let mut source = opened(&tree, "ina3221");
    let mut sink = Collect::default();
    source.poll(&mut sink).unwrap();
    for half in ["", "1"] {
        sink.0.clear();
        tree.write("class/hwmon/hwmon2/curr2_input", half);
        let error = source.poll(&mut sink).unwrap_err();
        assert!(matches!(&error, PollError::Retry(text) if text.contains("curr2_input")));
        let rails: Vec<usize> = sink.0.iter().map(|(rail, _)| *rail).collect();
        assert_eq!(rails, [0, 2]);
        tree.write("class/hwmon/hwmon2/curr2_input", "100\n");
        source.poll(&mut sink).unwrap();
    }
    assert!(
        sink.0
            .iter()
            .all(|(rail, w)| *rail != 1 || w.power == Watts(0.5))
    );
}

#[test]
fn a_chip_that_comes_back_under_another_number_is_found_again() {
    let tree = Tree::new();
    ina3221(&tree, 2, "1-0040", ORIN_NANO, ["1000", "100", "200"]);
    let mut source = opened(&tree, "ina3221");
    let mut sink = Collect::default();
    source.poll(&mut sink).unwrap();
    tree.remove("class/hwmon/hwmon2");
    let gone = source.poll(&mut sink).unwrap_err();
    assert!(matches!(gone, PollError::Fatal(_)), "{gone}");
    assert!(matches!(source.reset(), Err(PollError::Fatal(_))));
    assert!(sink.0.is_empty());
    // Another chip has its number now.
    tree.hwmon(2, "ina226", "1-0044", &[("power1_input", "7")]);
    ina3221(&tree, 7, "1-0040", ORIN_NANO, ["3000", "100", "200"]);
    source.reset().unwrap();
    let power: Vec<f64> = windows(&mut *source).iter().map(|w| w.1.power.0).collect();
    assert_eq!(power, [15.0, 0.5, 1.0]);
}

#[test]
fn one_of_two_chips_may_come_back_while_the_other_is_read() {
    let tree = Tree::new();
    tree.hwmon(0, "ina226", "1-0040", &[("power1_input", "1000000")]);
    tree.hwmon(1, "ina226", "1-0041", &[("power1_input", "2000000")]);
    let mut source = opened(&tree, "ina226");
    let mut sink = Collect::default();
    source.poll(&mut sink).unwrap();
    tree.remove("class/hwmon/hwmon1");
    tree.hwmon(6, "ina226", "1-0041", &[("power1_input", "3000000")]);
    let gone = source.poll(&mut sink).unwrap_err();
    assert!(matches!(gone, PollError::Retry(_)), "{gone}");
    assert_eq!(sink.0.len(), 1);
    let seen = windows(&mut *source);
    assert!(seen.iter().any(|(rail, w)| *rail == 1 && w.t1 > w.t0));
}

#[test]
fn an_unreadable_channel_leaves_the_others_and_all_of_them_fail_the_opening() {
    let tree = Tree::new();
    ina3221(&tree, 2, "1-0040", ORIN_NANO, ["1000", "?", "200"]);
    assert_eq!(opened(&tree, "ina3221").rails().len(), 3);
    for k in [1, 3] {
        tree.write(&format!("class/hwmon/hwmon2/curr{k}_input"), "?\n");
    }
    let error = open(&config(&tree, "ina3221"), &KnownRails::default()).err();
    assert!(matches!(error, Some(OpenError::Device(text)) if text.contains("half written")));
}

#[test]
fn nothing_is_read_faster_than_the_chip_refreshes() {
    let tree = Tree::new();
    ina3221(&tree, 2, "1-0040", ORIN_NANO, ["1", "1", "1"]);
    tree.write("class/hwmon/hwmon2/update_interval", "400\n");
    let mut config = config(&tree, "ina3221");
    config.rate_hz = Some(100.0);
    let source = open(&config, &KnownRails::default()).unwrap();
    let rail = &source.rails()[0];
    assert!(rail.nominal_rate_hz <= 2.5, "{}", rail.nominal_rate_hz);
    assert_eq!(rail.limits.refresh.0, 400_000_000);
    let warnings = source.warnings();
    assert!(warnings[0].contains("rate_hz = 100"), "{warnings:?}");
    // One of the six conversions of a cycle.
    let share = rail.duty.unwrap() / (rail.nominal_rate_hz * 0.4);
    assert!((share - 1.0 / 6.0).abs() < 1e-3, "{share}");
}
