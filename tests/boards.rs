//! What a user of each board finds: the board is recognised and its rails are described.

#[path = "boards/tree.rs"]
mod tree;

use jouled::board::{Board, BoardIdentity, Host, Profile, Profiles};
use jouled::config::{self, Config};
use jouled::sensor::{Boundary, SensorConfig};
use std::path::Path;
use tree::Tree;

/// A board's device tree as its own kernels show it, and the profile that fits.
const BOARDS: &[(&str, &[&str], &str)] = &[
    (
        "raspberrypi-4",
        &["raspberrypi,4-model-b", "brcm,bcm2711"],
        "Raspberry Pi 4 Model B Rev 1.4",
    ),
    (
        "raspberrypi-5",
        &["raspberrypi,5-model-b", "brcm,bcm2712"],
        "Raspberry Pi 5 Model B Rev 1.0",
    ),
    (
        "jetson-nano",
        &[
            "nvidia,p3449-0000-b00+p3448-0000-b00",
            "nvidia,jetson-nano",
            "nvidia,tegra210",
        ],
        "NVIDIA Jetson Nano Developer Kit",
    ),
    ("jetson-tx2", &["nvidia,quill", "nvidia,tegra186"], "quill"),
    (
        "jetson-tx2",
        &["nvidia,p2597-0000+p3310-1000", "nvidia,tegra186"],
        "quill",
    ),
    (
        "jetson-xavier-nx",
        &[
            "nvidia,p3449-0000+p3668-0001",
            "nvidia,p3509-0000+p3668-0001",
            "nvidia,tegra194",
        ],
        "NVIDIA Jetson Xavier NX Developer Kit",
    ),
    (
        "jetson-agx-xavier",
        &["nvidia,p2972-0000", "nvidia,tegra194"],
        "Jetson-AGX",
    ),
    (
        "jetson-orin-nano",
        &[
            "nvidia,p3768-0000+p3767-0005",
            "nvidia,p3767-0005",
            "nvidia,tegra234",
        ],
        "NVIDIA Jetson Orin Nano Developer Kit",
    ),
    (
        "jetson-orin-nano",
        &[
            "nvidia,p3768-0000+p3767-0005-super",
            "nvidia,p3767-0005",
            "nvidia,tegra234",
        ],
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    ),
    (
        "jetson-orin-nx",
        &[
            "nvidia,p3768-0000+p3767-0000-super",
            "nvidia,p3767-0000",
            "nvidia,tegra234",
        ],
        "NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super",
    ),
    (
        "jetson-agx-orin",
        &["nvidia,p3737-0000+p3701-0005", "nvidia,tegra234"],
        "NVIDIA Jetson AGX Orin Developer Kit",
    ),
    (
        "jetson-agx-thor",
        &[
            "nvidia,p4071-0000+p3834-0008",
            "nvidia,p3834-0008",
            "nvidia,tegra264",
        ],
        "NVIDIA Jetson AGX Thor Developer Kit",
    ),
    (
        "rock-5b",
        &["radxa,rock-5b", "rockchip,rk3588"],
        "Radxa ROCK 5B",
    ),
    (
        "orangepi-5",
        &["rockchip,rk3588s-orangepi-5", "rockchip,rk3588"],
        "Orange Pi 5",
    ),
];

fn generic() -> String {
    format!("generic-{}", std::env::consts::ARCH)
}

fn detected(tree: &Tree) -> Profile {
    Profiles::shipped().detect(&BoardIdentity::read(&tree.devicetree(), &tree.sysfs()))
}

#[test]
fn every_board_is_recognised_by_its_device_tree() {
    for (name, compatible, model) in BOARDS {
        let tree = Tree::new();
        tree.is_board(compatible, model);
        assert_eq!(detected(&tree).name, *name, "{compatible:?}");
        // A device tree without `compatible` still names the model.
        tree.is_board(&[], model);
        assert_eq!(detected(&tree).name, *name, "{model}");
    }
}

#[test]
fn a_relative_of_a_known_board_is_not_that_board() {
    let relatives: [(&[&str], &str); 5] = [
        (
            &["nvidia,p2371-2180", "nvidia,tegra210"],
            "NVIDIA Jetson TX1",
        ),
        (
            &["nvidia,p3509-0000+p3636-0001", "nvidia,tegra186"],
            "NVIDIA Jetson TX2 NX Developer Kit",
        ),
        (&["radxa,rock-5b-plus", "rockchip,rk3588"], "Radxa ROCK 5B+"),
        (
            &["xunlong,orangepi-5-max", "rockchip,rk3588"],
            "Orange Pi 5 Max",
        ),
        (&["raspberrypi,3-model-b", "brcm,bcm2837"], "Raspberry Pi 3"),
    ];
    for (compatible, model) in relatives {
        let tree = Tree::new();
        tree.is_board(compatible, model);
        assert_eq!(detected(&tree).name, generic(), "{model}");
    }
}

#[test]
fn what_says_nothing_is_generic() {
    let tree = Tree::new();
    assert_eq!(detected(&tree).name, generic());
    tree.write("dt/compatible", b"\xff\xfe\0\0nvidia,\x01\0");
    tree.write("dt/model", b"");
    assert_eq!(detected(&tree).name, generic());
    let nowhere = Path::new("/nonexistent");
    let unreadable = Profiles::shipped().detect(&BoardIdentity::read(nowhere, nowhere));
    assert_eq!(unreadable.name, generic());
}

#[test]
fn the_memory_is_that_of_the_build() {
    let bandwidth = |compatible: &[&str]| {
        let tree = Tree::new();
        tree.is_board(compatible, "");
        let identity = BoardIdentity::read(&tree.devicetree(), &tree.sysfs());
        detected(&tree).memory_bandwidth_gb_s(&identity)
    };
    let nano = |module: &str| bandwidth(&[format!("nvidia,p3768-0000+p3767-{module}").as_str()]);
    assert_eq!(nano("0005"), Some(68.0));
    assert_eq!(nano("0005-super"), Some(102.0));
    assert_eq!(nano("0004"), Some(34.0));
    assert_eq!(bandwidth(&["raspberrypi,5-model-b"]), Some(17.1));
    assert_eq!(bandwidth(&[]), None);
}

/// The module's input is the module, not the board: what hangs on the carrier is outside.
#[test]
fn no_rail_of_a_jetson_is_the_wall_and_only_thors_input_is_the_boards() {
    let profiles = Profiles::shipped();
    for name in profiles.names() {
        let known = profiles
            .by_name(name)
            .expect("it has that name")
            .known_rails();
        for rail in &known.rails {
            assert_ne!(rail.boundary, Boundary::Wall, "{name}");
            let is_input = rail.boundary == Boundary::BoardInput;
            assert_eq!(is_input, rail.label == "VIN", "{name}: {}", rail.label);
        }
    }
}

fn loaded(tree: &Tree, text: &str) -> Config {
    let roots = format!(
        "[board]\nsysfs_root = {:?}\ndevicetree_root = {:?}\n{text}",
        tree.sysfs(),
        tree.devicetree()
    );
    tree.write("jouled.toml", roots.as_bytes());
    config::load(&tree.path("jouled.toml"), []).expect("a valid configuration")
}

fn host(config: &Config) -> Host {
    config.board.host().expect("a known profile")
}

#[test]
fn the_power_mode_is_asked_for_by_name_and_id() {
    let tree = Tree::new();
    tree.is_board(BOARDS[8].1, BOARDS[8].2);
    let answers = "NV Power Mode: MAXN_SUPER\n2\n";
    tree.write("modes", answers.as_bytes());
    let own = format!(
        "name = \"jetson-orin-nano\"\ntitle = \"Mine\"\n[detect]\n\
         compatible = [\"nvidia,p3767-0005*\"]\n[power_mode]\ncommand = [\"cat\", {:?}]\n",
        tree.path("modes")
    );
    tree.write("boards/orin.toml", own.as_bytes());
    let host = host(&loaded(&tree, ""));
    assert_eq!(host.profile.title, "Mine");
    let board = Board::read(&host);
    assert_eq!(board.profile, "jetson-orin-nano");
    assert_eq!(board.power_mode.as_deref(), Some("MAXN_SUPER"));
    assert_eq!(board.power_mode_id, Some(2));
    assert_eq!(board.power_mode_reason, None);
    std::fs::remove_file(tree.path("modes")).expect("it is there");
    let board = Board::read(&host);
    assert_eq!((board.power_mode, board.power_mode_id), (None, None));
    assert!(board.power_mode_reason.is_some());
}

#[test]
fn a_stated_profile_goes_before_what_the_tree_says() {
    let tree = Tree::new();
    tree.is_board(BOARDS[0].1, BOARDS[0].2);
    let config = loaded(&tree, "profile = \"rock-5b\"\n");
    assert_eq!(host(&config).profile.name, "rock-5b");
    assert_eq!(host(&loaded(&tree, "")).profile.name, "raspberrypi-4");
}

#[test]
fn what_a_profile_suggests_is_a_sensor() {
    let profiles = Profiles::shipped();
    for name in profiles.names() {
        for own in &profiles.by_name(name).expect("it has that name").sensor {
            let mut config = SensorConfig::new("own", own.kind);
            config.chip.clone_from(&own.chip);
            config.boundary = own.boundary;
            assert_eq!(config.check(), Ok(()), "{name}: {own:?}");
        }
    }
}
