//! What the measuring core costs: a window that the sampler hands over, an interval's energy
//! in traces of different length, and a decode phase attributed to its tokens.

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use jouled::energy::{Trace, attribute};
use jouled::sensor::{ErrorLimits, Quality, Window};
use jouled::units::{Amps, MonoNs, Volts, Watts};
use std::hint::black_box;

/// One cycle of an INA219 with 12 bit for shunt and bus.
const CYCLE_NS: u64 = 1_064_000;
/// A token at 26 tokens/s.
const TOKEN_NS: u64 = 38_000_000;

/// Power alternates, as under inference: a constant would hide branches that real power takes.
fn window(k: u64) -> Window {
    let amps = if k % 36 < 24 { 1.3 } else { 1.1 };
    Window {
        t0: MonoNs(k * CYCLE_NS),
        t1: MonoNs((k + 1) * CYCLE_NS),
        power: Watts(5.1 * amps),
        voltage: Some(Volts(5.1)),
        current: Some(Amps(amps)),
        quality: Quality::Good,
        lost: 0,
    }
}

fn limits() -> ErrorLimits {
    ErrorLimits {
        scale: vec![("shunt tolerance", 0.01), ("gain", 0.002)],
        current_offset: Amps(0.01),
        current_step: Amps(0.001),
        ..ErrorLimits::default()
    }
}

fn trace(windows: u64) -> Trace {
    let mut trace = Trace::new(limits());
    (0..windows).for_each(|k| trace.push(&window(k)));
    trace
}

fn push(c: &mut Criterion) {
    let windows: Vec<Window> = (0..940).map(window).collect();
    c.bench_function("push one second of windows", |b| {
        b.iter_batched(
            || Trace::new(limits()),
            |mut trace| {
                windows.iter().for_each(|window| trace.push(window));
                trace
            },
            BatchSize::SmallInput,
        );
    });
}

/// An hour of windows must not cost noticeably more than a second of them.
fn measure(c: &mut Criterion) {
    let mut group = c.benchmark_group("energy of one token");
    for (name, windows) in [("in 1 s", 940), ("in 1 min", 56_400), ("in 1 h", 3_384_000)] {
        let trace = trace(windows);
        let t0 = MonoNs(windows * CYCLE_NS / 2);
        let t1 = MonoNs(t0.0 + TOKEN_NS);
        group.bench_with_input(BenchmarkId::from_parameter(name), &trace, |b, trace| {
            b.iter(|| trace.measure(black_box(t0), black_box(t1)).energy_j());
        });
    }
    group.finish();
}

fn decode(c: &mut Criterion) {
    let trace = trace(56_400);
    let t0 = MonoNs(TOKEN_NS);
    let times: Vec<MonoNs> = (1..=128).map(|i| MonoNs(t0.0 + i * TOKEN_NS)).collect();
    c.bench_function("attribute 128 tokens", |b| {
        b.iter(|| attribute(&trace, 1, black_box(&times), t0));
    });
}

criterion_group!(benches, push, measure, decode);
criterion_main!(benches);
