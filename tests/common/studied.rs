//! Invented results as a lab has them: two boards, three quants, two numbers of threads, two runs
//! each. On the second board one configuration is contended in both runs, and some runs of
//! another are throttled; its sensor is none of a simulation.

use jouled::record::result::{IdlePhase, JobResult, LeftOut, Moment, Statistic};
use jouled::record::{Reason, Stamped};

const QUANTS: [(&str, f64); 3] = [("Q4_1", 1.0), ("Q8_0", 1.55), ("F16", 2.4)];

pub fn studied(one: &Stamped<JobResult>) -> Vec<Stamped<JobResult>> {
    let mut runs = Vec::new();
    for (device, pace) in [("pi5-01", 1.0), ("orin-03", 2.3)] {
        for (quant, size) in QUANTS {
            for threads in [2, 4] {
                for n in 1..=2 {
                    runs.push(run(one, device, pace, (quant, size), threads, n));
                }
            }
        }
    }
    runs
}

fn run(
    one: &Stamped<JobResult>,
    device: &str,
    pace: f64,
    (quant, size): (&str, f64),
    threads: u32,
    n: u32,
) -> Stamped<JobResult> {
    let mut run = one.clone();
    device.clone_into(&mut run.stamp.device);
    run.stamp.time = format!("2026-11-21T1{n}:00:00.000Z");
    let result = &mut run.body;
    result.id = format!("{}-{threads}t-{n}", quant.to_lowercase());
    result.records.trace = 0;
    result.left_out = marks(device, quant, threads, n);
    result.warnings = match result.left_out.as_slice() {
        [] => Vec::new(),
        _ => vec!["the run is marked: see left_out".to_owned()],
    };
    let model = result
        .model
        .as_mut()
        .expect("the canned result has a model");
    model.quant = Some(quant.to_owned());
    model.name = format!("SmolLM2-135M-Instruct.{quant}.gguf");
    if quant != "Q4_1" {
        model.sha256 = format!("b179{quant}");
    }
    result.engine.as_mut().expect("it has an engine").threads = threads;
    result.board.model = Some(format!("Invented board {device}"));
    let scatter = 1.0 + 0.004 * f64::from(n);
    let speed = pace * f64::from(threads).powf(0.7) / size * scatter;
    let cost = size * f64::from(threads).powf(0.25) / pace.sqrt() / scatter;
    let summary = result.summary.as_mut().expect("it has a summary");
    scale(&mut summary.prefill_tok_s, speed);
    scale(&mut summary.decode_tok_s, speed);
    scale(&mut summary.ttft_s, 1.0 / speed);
    summary.tpot_s = summary.ttft_s.clone();
    scale(&mut summary.tpot_s, 0.19);
    if device == "orin-03" {
        summary.j_per_prompt_token = summary.j_per_output_token.clone();
        scale(&mut summary.j_per_prompt_token, 0.33);
        summary.reasons.clear();
    }
    for energy in [
        &mut summary.j_per_output_token,
        &mut summary.j_per_output_token_net,
        &mut summary.j_per_prompt_token,
    ] {
        scale(energy, cost);
        if let Some(statistic) = energy {
            statistic.u_sys = Some(0.007 * statistic.mean);
        }
    }
    for rep in &mut result.reps {
        for phase in [&mut rep.prefill, &mut rep.decode].into_iter().flatten() {
            phase.duration_s /= speed;
            phase.tok_s *= speed;
            phase.energy_j = phase.energy_j.map(|joules| joules * cost);
            phase.energy_j_u95 = phase.energy_j_u95.map(|joules| joules * cost);
        }
        let figures = &mut rep.figures;
        figures.s_t = Some(0.000_342 * cost / speed);
        figures.edp = figures.edp.map(|edp| edp * cost / speed);
        figures.tok_per_j = figures.tok_per_j.map(|tokens| tokens / cost);
        figures.mbu = (device == "pi5-01").then_some(0.31 * speed * size);
        figures.tpot_s = figures.tpot_s.map(|seconds| seconds / speed);
        if device == "orin-03" {
            figures.j_per_prompt_token_net = Some(0.0101);
            figures.j_per_prompt_token_net_u95 = Some(0.0004);
            rep.reasons.clear();
        }
        for figure in [
            &mut figures.j_per_output_token_all_in,
            &mut figures.j_per_output_token_all_in_u95,
            &mut figures.j_per_output_token_all_in_net,
            &mut figures.j_per_output_token_all_in_net_u95,
            &mut figures.j_per_prompt_token_net,
            &mut figures.j_per_prompt_token_net_u95,
            &mut figures.j_per_token_all,
            &mut figures.j_per_token_all_u95,
        ] {
            *figure = figure.map(|joules| joules * cost);
        }
        let warmer = f64::from(rep.rep) * 1.7 + f64::from(threads) * size;
        rep.start = moment(46.0 + warmer - 1.7, device);
        rep.end = moment(46.0 + warmer, device);
    }
    if device == "orin-03" {
        result.rails[0].simulated = false;
        "ina219".clone_into(&mut result.rails[0].source);
        result.thermal.max_c = Some(52.5);
        if let Some(IdlePhase {
            power_w: Some(power),
            ..
        }) = &mut result.idle.before
        {
            *power *= 1.8;
        }
    }
    // The first of two loads of a file is cold.
    if let Some(load) = &mut result.load {
        load.cold = Some(n == 1);
        load.duration_s *= size * if n == 1 { 3.1 } else { 1.0 } / pace;
    }
    result.memory.rss_peak_bytes = Some((151e6 * size) as u64);
    result.memory.kv_bytes = Some(47_185_920);
    run
}

fn marks(device: &str, quant: &str, threads: u32, n: u32) -> Vec<LeftOut> {
    match (device, quant, threads, n) {
        ("orin-03", "F16", 4, _) => vec![LeftOut::Contended],
        ("orin-03", "Q8_0", _, 2) => vec![LeftOut::Throttled],
        _ => Vec::new(),
    }
}

fn scale(statistic: &mut Option<Statistic>, factor: f64) {
    if let Some(statistic) = statistic {
        statistic.mean *= factor;
        statistic.median *= factor;
        statistic.sd = statistic.sd.map(|sd| sd * factor);
        statistic.u95 = statistic.u95.map(|u95| u95 * factor);
    }
}

/// Of the second board alone: the first can't tell.
fn moment(celsius: f64, device: &str) -> Option<Moment> {
    let known = device == "orin-03";
    Some(Moment {
        temperature_c: known.then_some(celsius),
        reasons: [("temperature_c".to_owned(), Reason::NotSupported)]
            .into_iter()
            .filter(|_| !known)
            .collect(),
        ..Moment::default()
    })
}
