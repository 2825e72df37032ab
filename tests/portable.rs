//! Package builds (`scripts/build-package`): they start on old CPUs, take the best kernels of
//! new ones, and generate what a build for this machine's own CPU generates. CPUs that this
//! machine has not are qemu-user's: right in what they compute, at any speed.
//!
//! `make portable-test` and `make arm64-test` build what is tried here, and say so by the
//! environment; without it these tests are skipped.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

mod support;

use jouled::lab::model;
use jouled::runtime::protocol::{Message, Request, Work};
use jouled::runtime::supervisor::{Worker, WorkerLimits};
use jouled::workload::Params;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::daemon::{DEVICE, STEADY};
use support::rig::{Rig, job};
use support::smollm2;

/// Far longer than an emulated load takes, so that only a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(300);
/// What goes on in one way alone: kernels add in different orders, and where two tokens are
/// almost equally likely that would decide between them.
const PROMPT: &str = "1, 2, 3, 4, 5, 6, 7, 8,";
const N_PREDICT: u32 = 16;
/// Where a build of each architecture lies as it is installed.
const PACKAGES: &str = "PORTABLE_PACKAGES";
/// C and C++ libraries of arm64 (`scripts/arm64-root`).
const ARM64_ROOT: &str = "PORTABLE_ARM64_ROOT";
/// `:name:M:offset:magic:mask:interpreter:` for 64-bit Arm's little-endian ELF files
/// (binfmt-misc.rst in the kernel's documentation).
const ELF_OF_ARM64: &str = r":jouled-arm64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:";

/// What a worker generated, and with which kernels.
#[derive(Debug)]
struct Generated {
    variant: Option<String>,
    features: Vec<String>,
    tokens: String,
    text: String,
}

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        support::skip(&format!(
            "{variable} is not set; make portable-test and make arm64-test do it"
        ));
    }
    folder
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    if found.is_err() {
        support::skip(&format!("there is no {program}; install qemu-user-static"));
    }
    found.is_ok()
}

fn worker(package: &Path) -> String {
    let worker = package.join("usr/libexec/jouled/jouled-worker");
    worker.to_str().unwrap().to_owned()
}

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

fn generated_by(command: &[String], model: &Path) -> Generated {
    let mut worker = Worker::spawn(command, &WorkerLimits::default()).unwrap();
    worker.send(&Request::Load {
        path: model.to_str().unwrap().to_owned(),
        params: Params {
            threads: Some(2),
            n_ctx: 256,
            ..Params::default()
        },
        n_outputs: 1,
    });
    worker.send(&Request::Run {
        work: Work::Generate {
            prompt: Some(PROMPT.to_owned()),
            messages: None,
            n_predict: N_PREDICT,
            ignore_eos: true,
        },
        warmup: 0,
        repetitions: 1,
        text: true,
    });
    let mut engine = None;
    loop {
        match worker.recv(PATIENCE).unwrap().expect("it goes on") {
            Message::Load(loaded) => engine = Some(loaded.engine),
            Message::Rep(rep) => {
                let engine = engine.expect("it has loaded");
                return Generated {
                    variant: engine.cpu_variant,
                    features: engine.cpu_features,
                    tokens: rep.output_sha256.unwrap(),
                    text: rep.text.unwrap(),
                };
            }
            Message::Error { code, message } => panic!("{code}: {message}"),
            _ => {}
        }
    }
}

/// What this build's own worker generates.
fn reference(model: &Path) -> Generated {
    let own = env!("CARGO_BIN_EXE_jouled-worker").to_owned();
    let generated = generated_by(&[own], model);
    println!("{:<34} {:<12} {}", "this build", "native", generated.tokens);
    generated
}

/// Runs a worker on each CPU, prints what it took, and compares.
fn compare(model: &Path, cpus: &[(&str, Vec<String>, &str)]) {
    let reference = reference(model);
    for (name, command, variant) in cpus {
        let generated = generated_by(command, model);
        println!(
            "{name:<34} {:<12} {}  {:?} {}",
            generated.variant.as_deref().unwrap_or("none"),
            generated.tokens,
            generated.text,
            generated.features.join(" ")
        );
        assert_eq!(generated.tokens, reference.tokens, "{name}: {generated:?}");
        if !variant.is_empty() {
            assert_eq!(generated.variant.as_deref(), Some(*variant), "{name}");
        }
        assert!(generated.variant.is_some(), "{name}");
    }
}

#[test]
fn an_amd64_package_runs_on_old_cpus_and_takes_the_best_kernels_of_this_one() {
    let (Some(packages), true) = (folder(PACKAGES), has("qemu-x86_64-static")) else {
        return;
    };
    if std::env::consts::ARCH != "x86_64" {
        return support::skip("an amd64 package on an x86-64 machine");
    }
    let worker = worker(&packages.join("amd64"));
    let emulated = |cpu: &str| words(&["qemu-x86_64-static", "-cpu", cpu, &worker]);
    compare(
        &smollm2::file(),
        &[
            ("amd64, this CPU", words(&[&worker]), ""),
            ("amd64, Core 2 (2006)", emulated("core2duo"), "x64"),
            ("amd64, Nehalem (2008)", emulated("Nehalem"), "sse42"),
            ("amd64, Haswell (2013)", emulated("Haswell"), "haswell"),
        ],
    );
}

#[test]
fn an_arm64_package_takes_the_kernels_of_each_cpu() {
    let (Some(packages), Some(root)) = (folder(PACKAGES), folder(ARM64_ROOT)) else {
        return;
    };
    if !has("qemu-aarch64-static") {
        return;
    }
    let root = root.to_str().unwrap();
    let worker = worker(&packages.join("arm64"));
    let emulated = |cpu: &str| words(&["qemu-aarch64-static", "-cpu", cpu, "-L", root, &worker]);
    compare(
        &smollm2::file(),
        &[
            (
                "arm64, Cortex-A72 (Raspberry Pi 4)",
                emulated("cortex-a72"),
                "armv8.0_1",
            ),
            (
                "arm64, Cortex-A76 (Raspberry Pi 5)",
                emulated("cortex-a76"),
                "armv8.2_2",
            ),
            // SVE2 and int8 products, with vectors of 128 bits: qemu's own 2048 are no CPU's.
            ("arm64, all that qemu has", emulated("max,sve-max-vq=1"), ""),
        ],
    );
}

#[test]
fn an_arm64_package_probes() {
    let (Some(packages), Some(root)) = (folder(PACKAGES), folder(ARM64_ROOT)) else {
        return;
    };
    if !has("qemu-aarch64-static") {
        return;
    }
    let probe = Command::new("qemu-aarch64-static")
        .args(["-cpu", "cortex-a76", "-L"])
        .arg(root)
        .arg(packages.join("arm64/usr/bin/jouled"))
        .args(["probe", "--json"])
        .output()
        .unwrap();
    println!("{}", String::from_utf8_lossy(&probe.stdout));
    assert!(probe.status.success(), "{probe:?}");
    let report: Value = serde_json::from_slice(&probe.stdout).unwrap();
    assert_eq!(report["v"], 1);
    assert!(report["board"]["profile"].is_string(), "{report}");
    assert!(report["sensors"].is_array(), "{report}");
}

/// Confined as the kernel can: its libraries lie outside of the system's own folders.
#[test]
fn an_amd64_package_runs_a_job() {
    let Some(packages) = folder(PACKAGES) else {
        return;
    };
    if std::env::consts::ARCH != "x86_64" {
        return support::skip("an amd64 package on an x86-64 machine");
    }
    let daemon = packages.join("amd64/usr/bin/jouled");
    let result = result_of(&format!("exec '{}' \"$@\"", daemon.display()), "");
    assert!(result["engine"]["cpu_variant"].is_string(), "{result}");
}

/// Daemon and worker of the package, as processes that start each other: the kernel is told,
/// in a namespace of its own, to give programs for arm64 to the emulator.
#[test]
fn an_arm64_package_runs_a_job() {
    let (Some(packages), Some(root)) = (folder(PACKAGES), folder(ARM64_ROOT)) else {
        return;
    };
    if !has("qemu-aarch64-static") {
        return;
    }
    let namespace = ["--user", "--map-root-user", "--mount"];
    let mount = "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc";
    let possible = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", mount])
        .output();
    if !possible.is_ok_and(|tried| tried.status.success()) {
        return support::skip("binfmt_misc in a user namespace (Linux 6.7)");
    }
    let scripts = tempfile::tempdir().unwrap();
    let emulator = scripts.path().join("emulator");
    let root = root.to_str().unwrap();
    script(
        &emulator,
        &format!("exec qemu-aarch64-static -cpu cortex-a76 -L '{root}' \"$@\""),
    );
    let daemon = packages.join("arm64/usr/bin/jouled");
    let start = format!(
        "exec unshare {} sh -c '{mount} &&\n\
         printf %s \"$0\" >/proc/sys/fs/binfmt_misc/register && exec \"$@\"' \\\n\
         '{ELF_OF_ARM64}{}:' '{}' \"$@\"",
        namespace.join(" "),
        emulator.display(),
        daemon.display(),
    );
    // The emulator's place, should confinement hold.
    let read = format!(
        "[runtime.\"llama.cpp\"]\nread = [{:?}, {root:?}]\n",
        scripts.path()
    );
    let result = result_of(&start, &read);
    assert_eq!(result["engine"]["cpu_variant"], "armv8.2_2");
}

/// Of a job on a daemon that is started by these commands of a shell. It has generated what
/// this build's own worker does.
fn result_of(start: &str, configuration: &str) -> Value {
    let model = smollm2::file();
    let expected = reference(&model);
    let scripts = tempfile::tempdir().unwrap();
    let program = scripts.path().join("start");
    // Its first argument is this build's daemon.
    script(&program, &format!("shift\n{start}"));
    let mut rig = Rig::start_with(STEADY, |daemon| {
        daemon.prefix = vec![program.to_str().unwrap().to_owned()];
        std::fs::copy(&model, daemon.models().join(model::DEFAULT.name)).unwrap();
        daemon.configure("more.toml", configuration);
    });
    let info = rig.lab.wait_topic(&format!("jouled/{DEVICE}/info")).json();
    let result = rig.run(&job(
        "portable",
        json!({
            "model": model::DEFAULT.name, "prompt": PROMPT, "n_predict": N_PREDICT,
            "ignore_eos": true, "repetitions": 1, "warmup": 0, "timeout_s": 600,
            "params": {"threads": 2, "n_ctx": 256, "n_batch": 256},
            "idle": {"before_s": 0, "after_s": 0}, "publish": {"text": true},
        }),
    ));
    println!("sandbox {}", info["sandbox"]);
    println!("engine {}", result["engine"]);
    let log = rig.daemon.log();
    assert_eq!(result["state"], "succeeded", "{result}\n{log}");
    assert_eq!(result["reps"][0]["text"], expected.text);
    // The emulator knows no Landlock and no filters: what does not hold is said not to.
    let sandbox = info["sandbox"].as_object().unwrap();
    assert!(sandbox.values().all(Value::is_boolean), "{info}");
    result
}

fn script(path: &Path, commands: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{commands}\n")).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}
