//! What tests of this module share: an invented attempt, with invented time.

use super::{Context, Ending, Observed, Recorded};
use crate::board::{Absence, Contention, Finding, Moment};
use crate::energy::Trace;
use crate::record::result::{Board, Build, Engine, Model};
use crate::record::{Stamp, Stamped, VERSION};
use crate::runtime::process::ProcessMemory;
use crate::runtime::protocol::{
    HardwareCounters, HardwareCounts, Loaded, LoadedModel, PhaseCounters, RepDone, StopReason,
    WorkerMemory,
};
use crate::sensor::{
    Boundary, BoundaryBasis, ErrorLimits, Lag, Quality, RailSpec, ReadingKind, VoltageAt, Window,
};
use crate::units::{Amps, MonoNs, Ohms, Span, Volts, Watts};
use crate::workload::{Job, Limits, Phase};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// When the invented attempt begins.
pub const T0: MonoNs = MonoNs(5_000_000_000_000);
const WINDOW: Span = Span::from_millis(5);
/// Between two output tokens: 12 windows.
const TOKEN: Span = Span::from_millis(60);

/// A rail of an INA219 with no errors.
pub fn rail(name: &str) -> RailSpec {
    RailSpec {
        name: name.to_owned(),
        boundary: Boundary::BoardInput,
        boundary_basis: BoundaryBasis::Declared,
        contained_in: None,
        excludes: Vec::new(),
        source: "ina219",
        simulated: false,
        kind: ReadingKind::Window,
        mode: None,
        range_mv: None,
        shunt: None,
        voltage_at: None,
        feeds: None,
        calibration_date: None,
        duty: None,
        nominal_rate_hz: 1000.0,
        limits: ErrorLimits::default(),
        lag: None,
    }
}

/// The same with the errors of a 10 mΩ shunt of 1 %.
pub fn real_rail(name: &str) -> RailSpec {
    RailSpec {
        excludes: vec!["usb".to_owned()],
        mode: Some("avg8/12bit".to_owned()),
        range_mv: Some(80),
        shunt: Some(Ohms(0.010)),
        voltage_at: Some(VoltageAt::Load),
        feeds: Some(1),
        duty: Some(0.89),
        nominal_rate_hz: 200.0,
        limits: ErrorLimits {
            scale: vec![("shunt", 0.01), ("gain", 0.005), ("bus-gain", 0.005)],
            current_offset: Amps(0.010),
            current_step: Amps(0.001),
            ..ErrorLimits::default()
        },
        ..rail(name)
    }
}

/// A point source that shows the load 20 ms late.
pub fn late_rail(name: &str) -> RailSpec {
    RailSpec {
        kind: ReadingKind::Point,
        lag: Some(Lag {
            date: "2026-11-21".to_owned(),
            lag_s: 0.02,
            lag_s_u95: 0.002,
            scatter_s: 0.001,
            steps: 30,
            step_w: 5.0,
        }),
        ..rail(name)
    }
}

pub fn job(change: impl FnOnce(&mut Value)) -> Job {
    let mut job = json!({"id": "smol-1", "kind": "generate", "model": "m.gguf", "prompt": "Why?",
        "n_predict": 4, "repetitions": 2, "tags": {"sweep": "fig3"}});
    change(&mut job);
    Job::parse(job.to_string().as_bytes(), &Limits::default()).expect("a valid job")
}

pub fn context(job: Job) -> Context {
    Context {
        jouled: Build::this(),
        device: "pi5-01".to_owned(),
        job,
        attempt: 1,
        board: Board {
            profile: "generic-aarch64".to_owned(),
            model: Some("Raspberry Pi 5 Model B Rev 1.0".to_owned()),
            kernel: "6.12.0".to_owned(),
            os: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
            l4t: None,
            firmware: Some("bootloader 086b83e3".to_owned()),
            cpu: Some("implementer 0x41 part 0xd0b".to_owned()),
            cpus: 4,
            memory_bytes: Some(8 << 30),
            memory_bandwidth_gb_s: Some(17.1),
            memory_unified: Some(true),
            governor: Some("ondemand".to_owned()),
            governors: BTreeMap::new(),
            cpu_min_mhz: Some(1500.0),
            cpu_max_mhz: Some(2400.0),
            max_freq_khz: Some(2_400_000),
            max_freqs_khz: Default::default(),
            power_mode: None,
            end: None,
            power_mode_id: None,
            power_mode_reason: Some("not supported".to_owned()),
            reasons: BTreeMap::from([("l4t".to_owned(), Absence::NotSupported)]),
        },
        rig: BTreeMap::from([("supply".to_owned(), "bench, 5.1 V".to_owned())]),
        model: Some(Model {
            name: "m.gguf".to_owned(),
            sha256: "ab".repeat(32),
            arch: "llama".to_owned(),
            quant: Some("Q4_1".to_owned()),
            params: 134_515_008,
            size_bytes: 98_362_432,
            step_bytes: Some(96_576_768),
            kv_token_bytes: Some(23_040),
            encoder_token_bytes: None,
        }),
        data: None,
        primary: Some(0),
        simulated: false,
        sampler_power: None,
        warnings: Vec::new(),
        lost_attempts: Vec::new(),
    }
}

/// Plays an attempt: phases one after the other, each with its power.
pub struct Play {
    pub observed: Observed,
    now: MonoNs,
    power: Vec<(MonoNs, f64)>,
}

impl Play {
    /// Loaded, idle for 10 s, warmed up.
    pub fn begin() -> Self {
        let mut play = Self {
            observed: Observed::new(T0),
            now: T0,
            power: Vec::new(),
        };
        play.phase(Phase::Load, None, Span::from_millis(400), 5.0);
        let loaded = loaded(play.now);
        play.observed.count(Phase::Load, None, loaded.counters);
        play.observed.loaded = Some(loaded);
        play.phase(Phase::IdleBefore, None, Span::from_millis(10_000), 3.0);
        play.observed.settled.insert(Phase::IdleBefore, true);
        play.phase(Phase::Warmup, None, Span::from_millis(1_000), 8.0);
        let moments = &mut play.observed.moments;
        moments.before = Some(moment(44.5, 7 << 30));
        moments.loaded = Some(moment(46.1, 6 << 30));
        moments.reps.insert(0, moment(55.0, 6 << 30));
        play
    }

    pub fn phase(&mut self, phase: Phase, rep: Option<u32>, length: Span, watts: f64) {
        let t0 = self.now;
        self.now = t0 + length;
        self.power.push((self.now, watts));
        self.observed.push(phase, rep, t0, self.now);
    }

    /// One `generate` repetition of `output` tokens.
    pub fn generate(&mut self, rep: u32, output: u32, stop_reason: StopReason) {
        self.phase(Phase::Prepare, Some(rep), Span::from_millis(1), 4.0);
        self.phase(Phase::Prefill, Some(rep), Span::from_millis(300), 9.0);
        self.tokens(rep, output);
        let decode = Span(TOKEN.0 * u64::from(output - 1));
        if output > 1 {
            self.phase(
                Phase::Decode,
                Some(rep),
                decode,
                8.0 + 0.01 * f64::from(rep),
            );
            let counted = counted(u64::from(output - 1));
            self.observed.count(Phase::Decode, Some(rep), counted);
        }
        self.observed.count(Phase::Prefill, Some(rep), counted(14));
        self.done(rep, 14, output, stop_reason);
    }

    /// One `bench` repetition.
    pub fn bench(&mut self, rep: u32, n_prompt: u32, n_gen: u32) {
        self.phase(Phase::Prepare, Some(rep), Span::from_millis(1), 4.0);
        if n_prompt > 0 {
            self.phase(Phase::Prefill, Some(rep), Span::from_millis(300), 9.0);
        }
        if n_gen > 0 {
            self.tokens(rep, n_gen + 1);
            let decode = Span(TOKEN.0 * u64::from(n_gen));
            self.phase(Phase::Decode, Some(rep), decode, 8.0);
        }
        self.done(rep, n_prompt, n_gen, StopReason::Length);
    }

    /// One repetition of `perplexity` or `choice`, of 1,024 tokens in 2 s at 9 W or a little more.
    pub fn evaluation(&mut self, rep: u32, scores: impl FnOnce(&mut RepDone)) {
        let watts = 9.0 + 0.01 * f64::from(rep);
        self.phase(Phase::Prepare, Some(rep), Span::from_millis(1), 4.0);
        self.phase(Phase::Prefill, Some(rep), Span::from_millis(2_000), watts);
        self.done(rep, 1_024, 0, StopReason::Length);
        scores(self.observed.reps.last_mut().expect("just ended"));
    }

    /// Times of `n` elements from now on.
    fn tokens(&mut self, rep: u32, n: u32) {
        let prepare = self.observed.phase(Phase::Prepare, Some(rep));
        let t0 = prepare.expect("a repetition begins with it").t0;
        let known = (0..n).map(|i| self.now + Span(TOKEN.0 * u64::from(i)));
        self.observed.push_tokens(rep, t0, known.collect());
    }

    fn done(&mut self, rep: u32, prompt_tokens: u32, output_tokens: u32, stop: StopReason) {
        let warmer = 55.0 + 3.1 * f64::from(rep);
        self.observed
            .moments
            .reps
            .insert(rep, moment(warmer, 5 << 30));
        self.observed.reps.push(RepDone {
            rep,
            prompt_tokens,
            output_tokens,
            stop_reason: stop,
            prompt_sha256: Some("cd".repeat(32)),
            output_sha256: Some("ef".repeat(32)),
            text: None,
            perplexity: None,
            choice: None,
        });
    }

    /// What is known once the worker is done.
    pub fn worked(&mut self) {
        let observed = &mut self.observed;
        observed.worker_memory = WorkerMemory {
            kv_bytes: Some(47_185_920),
            compute_bytes: Some(101_711_872),
            repack_bytes: None,
            model_bytes: None,
            device_bytes: None,
        };
        observed.process_memory = Some(ProcessMemory {
            rss_peak_bytes: Some(280_000_000),
            anon_bytes: Some(170_000_000),
            file_bytes: Some(98_000_000),
            swap_bytes: Some(0),
        });
        observed.contention = Some(Contention {
            foreign_cpu: 0.004,
            steal: 0.0,
            psi_some: Some(0.01),
            psi_memory_some: Some(0.0),
            psi_io_some: None,
            contended: false,
        });
        observed.throttling = Some(Finding::NotSeen);
        observed.under_voltage = Some(Finding::NoEvidence);
        observed.own_cpu_s = BTreeMap::from([(Phase::Load, 0.02), (Phase::Decode, 0.1)]);
    }

    pub fn idle_after(&mut self) {
        self.phase(Phase::IdleAfter, None, Span::from_millis(5_000), 3.1);
        self.observed.settled.insert(Phase::IdleAfter, true);
    }

    pub fn end(mut self, ending: Ending) -> Self {
        self.observed.ending = ending;
        self.observed.t1 = self.now;
        self
    }

    /// The whole attempt on one rail, from a little before to a little after it.
    pub fn recorded(&self, spec: RailSpec) -> Recorded {
        self.recorded_until(spec, self.now + WINDOW + WINDOW)
    }

    /// What a rail has delivered by `until`.
    pub fn recorded_until(&self, spec: RailSpec, until: MonoNs) -> Recorded {
        self.delivered(spec, WINDOW, |window| {
            Some(window).filter(|w| w.t1 <= until)
        })
    }

    /// The whole attempt in windows of `width`, as `deliver` lets them through.
    pub fn delivered(
        &self,
        spec: RailSpec,
        width: Span,
        mut deliver: impl FnMut(Window) -> Option<Window>,
    ) -> Recorded {
        let mut trace = Trace::of(&spec);
        let mut t0 = T0 - Span::from_millis(7);
        while t0 + width <= self.now + width + width {
            let t1 = t0 + width;
            let whole = window(t0, t1, self.energy(t1) - self.energy(t0));
            if let Some(window) = deliver(whole) {
                trace.push(&window);
            }
            t0 = t1;
        }
        Recorded {
            spec,
            trace,
            missed_deadlines: 2,
        }
    }

    /// Energy from the first power on.
    fn energy(&self, at: MonoNs) -> f64 {
        let mut from = MonoNs(0);
        let mut joules = 0.0;
        for &(until, watts) in &self.power {
            joules += watts * until.min(at).since(from).as_secs_f64();
            from = until;
        }
        joules + 3.0 * at.since(from).as_secs_f64()
    }
}

/// A board at 2.4 GHz whose fan tells nothing.
fn moment(temperature_c: f64, mem_available_bytes: u64) -> Moment {
    Moment {
        temperature_c: Ok(temperature_c),
        clocks_mhz: Ok([("cpu0-3".to_owned(), 2400.0)].into()),
        fan_rpm: Err(Absence::NotPermitted),
        fan_drive: BTreeMap::new(),
        mem_available_bytes: Ok(mem_available_bytes),
    }
}

pub fn window(t0: MonoNs, t1: MonoNs, joules: f64) -> Window {
    let power = Watts(joules / t1.since(t0).as_secs_f64());
    Window {
        t0,
        t1,
        power,
        voltage: Some(Volts(5.0)),
        current: Some(Amps(power.0 / 5.0)),
        quality: Quality::Good,
        lost: 0,
    }
}

/// What evaluating some tokens costs on a CPU that does not count its cache's references.
pub fn counted(tokens: u64) -> PhaseCounters {
    PhaseCounters {
        major_faults: Some(0),
        read_bytes: Some(0),
        hardware: Some(HardwareCounts {
            instructions: Some(400_000_000 * tokens),
            cycles: Some(250_000_000 * tokens),
            cache_references: None,
            cache_misses: Some(1_500_000 * tokens),
            enabled_ns: Some(300_000_000 * tokens),
            running_ns: Some(240_000_000 * tokens),
        }),
    }
}

fn loaded(t1_ns: MonoNs) -> Loaded {
    Loaded {
        t1_ns,
        engine: Engine {
            name: "llama.cpp".to_owned(),
            revision: "b1".to_owned(),
            cpu_features: vec!["NEON".to_owned()],
            cpu_variant: Some("armv8.2_2".to_owned()),
            threads: 4,
            n_ctx: 2048,
            n_batch: 512,
            threads_batch: Some(4),
            n_ubatch: 512,
            flash_attn: None,
            sampler: "greedy".to_owned(),
            layers_offloaded: 0,
            devices: vec!["cpu".to_owned()],
        },
        model: LoadedModel {
            arch: "llama".to_owned(),
            description: "llama 135M Q4_1".to_owned(),
            params: 134_515_008,
            size_bytes: 98_362_432,
            n_ctx_train: 2048,
            n_layer: 30,
        },
        resident_before: Some(0.99),
        memory: WorkerMemory::default(),
        counters: PhaseCounters {
            major_faults: Some(12),
            read_bytes: Some(1_048_576),
            hardware: counted(2).hardware,
        },
        hardware_counters: Some(HardwareCounters::Counting),
    }
}

/// The record as it leaves, but for what differs from one machine or release to the next,
/// with nine digits of each number.
pub fn on_the_wire<T: serde::Serialize>(record: Stamped<T>) -> Value {
    let fixed = Stamped {
        stamp: Stamp {
            v: VERSION,
            device: "pi5-01".to_owned(),
            time: "2026-11-21T10:00:00.000Z".to_owned(),
            mono_ns: T0.0,
            boot_id: "6c0f".to_owned(),
            clock_sync: true,
        },
        body: record.body,
    };
    let mut value: Value = serde_json::from_slice(&fixed.to_json()).expect("JSON");
    if let Some(build) = value.get_mut("jouled") {
        *build = json!({"version": "[version]", "profile": "[profile]"});
    }
    rounded(&mut value);
    value
}

/// A part of a record, with nine digits of each number.
pub fn rounded_as_on_the_wire<T: serde::Serialize>(part: &T) -> Value {
    let mut value = serde_json::to_value(part).expect("JSON");
    rounded(&mut value);
    value
}

fn rounded(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(rounded),
        Value::Object(fields) => fields.values_mut().for_each(rounded),
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().expect("an f64");
            let nine = format!("{exact:.8e}").parse().expect("just printed");
            // What is left of a sum of rounding errors is not the same everywhere.
            *value = json!(if exact.abs() < 1e-12 { 0.0 } else { nine });
        }
        _ => {}
    }
}
